//! `osapi token`: makes tokens for the API, and tells what one says.

use std::io::{self, Read, Write};

use serde_json::json;

use super::args::{CreateArgs, TokenArgs, TokenCommand, VerifyArgs};
use super::{Failure, print_json};
use crate::access::{Claims, SigningKey};
use crate::config::Loaded;

/// Longest that is read of a token on standard input.
const LONGEST: u64 = 64 << 10;

pub(super) fn run(args: &TokenArgs, verbose: u8) -> Result<(), Failure> {
    let (TokenCommand::Create(CreateArgs { config, .. })
    | TokenCommand::Verify(VerifyArgs { config, .. })) = &args.command;
    let loaded = config.sources(verbose).load()?;
    let key = key(&loaded)?;
    match &args.command {
        TokenCommand::Create(create) => self::create(&key, create),
        TokenCommand::Verify(verify) => self::verify(&key, verify),
    }
}

fn key(loaded: &Loaded) -> Result<std::sync::Arc<SigningKey>, Failure> {
    loaded.signing_key()?.ok_or_else(|| {
        Failure::Other(
            "there is no key to sign with: set api.signing_key_file (or OSAPI_API__SIGNING_KEY), \
             for the server and here; `openssl rand -base64 48` makes a good one"
                .to_owned(),
        )
    })
}

fn create(key: &SigningKey, args: &CreateArgs) -> Result<(), Failure> {
    let claims = Claims::new(&args.subject, &args.permission, args.expires);
    let token = key
        .sign(&claims)
        .map_err(|error| Failure::Other(error.to_string()))?;
    if args.json {
        return print_json(&json!({
            "token": token,
            "subject": claims.sub,
            "permissions": claims.permissions,
            "expires": claims.expires(),
        }));
    }
    Ok(writeln!(io::stdout(), "{token}")?)
}

fn verify(key: &SigningKey, args: &VerifyArgs) -> Result<(), Failure> {
    let mut token = args.token.clone();
    if token == "-" {
        token.clear();
        io::stdin().take(LONGEST).read_to_string(&mut token)?;
    }
    let claims = key
        .verify(token.trim())
        .map_err(|error| Failure::Other(error.to_string()))?;
    if args.json {
        return print_json(&json!({
            "subject": claims.sub,
            "permissions": claims.permissions,
            "expires": claims.expires(),
        }));
    }
    let mut out = io::stdout().lock();
    writeln!(out, "subject:     {}", claims.sub)?;
    writeln!(out, "permissions: {}", claims.permissions.join(", "))?;
    Ok(writeln!(out, "expires:     {}", claims.expires())?)
}
