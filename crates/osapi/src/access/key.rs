use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::{Permission, signature};

/// Fewest bytes of a key: as many as the hash has (RFC 7518 section 3.2).
const LEAST_BYTES: usize = 32;
/// Fewest different bytes. Random ones have more, however they are written down.
const LEAST_DIFFERENT: usize = 10;
/// Tokens say that osapi made them, so that those of another program with the same key are refused.
const ISSUER: &str = "osapi";

/// The secret that makes tokens, and tells them from forged ones.
pub struct SigningKey {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

/// Why a secret is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadKey {
    /// Too short.
    #[error(
        "the key has {0} bytes, at least {LEAST_BYTES} are needed; `openssl rand -base64 48` makes a good one"
    )]
    Short(usize),
    /// Long enough, but not random.
    #[error(
        "the key can be guessed, it has only {0} different bytes; `openssl rand -base64 48` makes a good one"
    )]
    Guessable(usize),
}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It is past its time.
    #[error("the token has expired")]
    Expired,
    /// Signed with another key, or changed.
    #[error("the token was not signed with this key")]
    Signature,
    /// Not a token, or not one of osapi's.
    #[error("this is not a token of osapi")]
    Malformed,
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    iss: String,
    /// Who bears it.
    pub sub: String,
    /// When it was made, in seconds since 1970.
    pub iat: i64,
    /// When it stops being good, in seconds since 1970.
    pub exp: i64,
    /// What its bearer may do. Names this version does not know allow nothing.
    pub permissions: Vec<String>,
}

impl Claims {
    /// How long the token is still good.
    #[must_use]
    pub fn left(&self) -> Duration {
        let left = self.exp.saturating_sub(Timestamp::now().as_second());
        Duration::from_secs(u64::try_from(left).unwrap_or(0))
    }

    /// What a token made now says, good for a time.
    #[must_use]
    pub fn new(subject: &str, permissions: &[Permission], good_for: Duration) -> Self {
        let now = Timestamp::now().as_second();
        let seconds = i64::try_from(good_for.as_secs().max(1)).unwrap_or(i64::MAX);
        let mut names: Vec<_> = permissions.iter().map(ToString::to_string).collect();
        names.sort();
        names.dedup();
        Self {
            iss: ISSUER.to_owned(),
            sub: subject.to_owned(),
            iat: now,
            exp: now.saturating_add(seconds),
            permissions: names,
        }
    }

    /// Whether the bearer may do this.
    #[must_use]
    pub fn allows(&self, permission: Permission) -> bool {
        self.permissions.iter().any(|p| p == permission.as_str())
    }

    /// When the token stops being good.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        Timestamp::from_second(self.exp).unwrap_or(Timestamp::MAX)
    }
}

impl SigningKey {
    /// A key of these bytes.
    ///
    /// # Errors
    /// When it is short, or can be guessed.
    pub fn new(secret: &[u8]) -> Result<Self, BadKey> {
        if secret.len() < LEAST_BYTES {
            return Err(BadKey::Short(secret.len()));
        }
        let mut bytes = secret.to_vec();
        bytes.sort_unstable();
        bytes.dedup();
        if bytes.len() < LEAST_DIFFERENT {
            return Err(BadKey::Guessable(bytes.len()));
        }
        signature::install();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        // Not good any more in the very second of `exp` (RFC 7519 section 4.1.4).
        validation.reject_tokens_expiring_in_less_than = 1;
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        Ok(Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            validation,
        })
    }

    /// A token that says this.
    ///
    /// # Errors
    /// None that is known of: the claims are plain text and numbers.
    pub fn sign(&self, claims: &Claims) -> Result<String, TokenError> {
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &self.encoding)
            .map_err(|_| TokenError::Malformed)
    }

    /// What a token says, if it is one of this key's and not past its time.
    ///
    /// # Errors
    /// Why it is not accepted.
    pub fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        jsonwebtoken::decode(token, &self.decoding, &self.validation)
            .map(|decoded| decoded.claims)
            .map_err(|error| match error.kind() {
                ErrorKind::ExpiredSignature => TokenError::Expired,
                ErrorKind::InvalidSignature => TokenError::Signature,
                _ => TokenError::Malformed,
            })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"0123456789abcdefghijklmnopqrstuv";

    fn key() -> SigningKey {
        SigningKey::new(SECRET).unwrap()
    }

    fn claims() -> Claims {
        Claims::new("me", &[Permission::JobRead], Duration::from_secs(60))
    }

    #[test]
    fn a_token_says_what_was_signed() {
        let token = key().sign(&claims()).unwrap();
        let read = key().verify(&token).unwrap();
        assert_eq!(read.sub, "me");
        assert!(read.allows(Permission::JobRead) && !read.allows(Permission::JobWrite));
    }

    #[test]
    fn weak_secrets_are_refused_and_none_is_shown() {
        assert_eq!(SigningKey::new(b"short").err(), Some(BadKey::Short(5)));
        assert_eq!(
            SigningKey::new(&b"password".repeat(8)).err(),
            Some(BadKey::Guessable(7))
        );
        assert!(SigningKey::new(&SECRET[..31]).is_err());
        assert_eq!(format!("{:?}", key()), "SigningKey(***)");
    }

    #[test]
    fn expired_foreign_and_changed_tokens_are_refused() {
        let key = key();
        let past = Claims {
            exp: claims().iat - 1,
            ..claims()
        };
        assert_eq!(
            key.verify(&key.sign(&past).unwrap()),
            Err(TokenError::Expired)
        );
        let now = Claims {
            exp: claims().iat,
            ..claims()
        };
        assert_eq!(
            key.verify(&key.sign(&now).unwrap()),
            Err(TokenError::Expired)
        );

        let other = SigningKey::new(&SECRET.repeat(2)).unwrap();
        let token = other.sign(&claims()).unwrap();
        assert_eq!(key.verify(&token), Err(TokenError::Signature));
        let past = other.sign(&past).unwrap();
        assert_eq!(
            key.verify(&past),
            Err(TokenError::Signature),
            "the signature comes first"
        );

        let foreign = Claims {
            iss: "other".to_owned(),
            ..claims()
        };
        assert_eq!(
            key.verify(&key.sign(&foreign).unwrap()),
            Err(TokenError::Malformed)
        );
        for nonsense in ["", "a", "a.b.c", "....", "\u{e9}"] {
            assert_eq!(
                key.verify(nonsense),
                Err(TokenError::Malformed),
                "{nonsense}"
            );
        }
        let token = key.sign(&claims()).unwrap();
        let (signed, _) = token.rsplit_once('.').unwrap();
        assert!(key.verify(&format!("{signed}.")).is_err(), "no signature");
        assert!(
            key.verify(&token[..token.len() - 2]).is_err(),
            "half a signature"
        );
    }

    #[test]
    fn other_algorithms_cannot_even_be_asked_for() {
        for algorithm in [Algorithm::HS384, Algorithm::HS512, Algorithm::RS256] {
            let key = EncodingKey::from_secret(SECRET);
            signature::install();
            let made = jsonwebtoken::encode(&Header::new(algorithm), &claims(), &key);
            assert!(made.is_err(), "{algorithm:?}");
        }
    }
}
