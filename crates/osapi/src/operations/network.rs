//! `network.*`: what the host can reach.

use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RecordType};
use serde::Deserialize;
use serde_json::{Value, json};
use surge_ping::{Client, Config, ICMP, PingIdentifier, PingSequence, SurgeError};
use utoipa::ToSchema;
use utoipa::openapi::schema::{
    AnyOfBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type,
};

use super::{Context, Failure, Operation, input};

/// Longest wait for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest a name lookup may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct Ping;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PingInput {
    /// A host name or an address.
    #[schema(schema_with = host)]
    address: String,
    /// How many packets are sent.
    #[schema(minimum = 1, maximum = 10)]
    #[serde(default = "one", deserialize_with = "input::whole::<_, _, 1, 10>")]
    count: u16,
}

fn one() -> u16 {
    1
}

/// Longest name, in characters (RFC 1035 section 2.3.4, as written without the root's length).
const MAX_NAME: usize = 253;
/// Longest label.
const MAX_LABEL: usize = 63;

/// A host name or an address, as [`check_name`] takes it.
fn host() -> Schema {
    let character = r"([A-Za-z0-9_-]|[^\x00-\x7f])";
    let label = format!("{character}{{1,{MAX_LABEL}}}");
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let name = text()
        .min_length(Some(1))
        .max_length(Some(MAX_NAME))
        .pattern(Some(format!(r"^(\.|{label}(\.{label})*\.?)$")));
    let address = text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Ipv6)));
    let either = AnyOfBuilder::new().item(name).item(address);
    Schema::AnyOf(either.build())
}

/// Checks that something looks like what can be looked up. Whether an international name can be encoded
/// (RFC 5891) is found out when it is.
fn check_name(field: &str, name: &str) -> Result<(), String> {
    let wrong = |reason: &str| Err(format!("{field} is not a host name or address: {reason}"));
    if name.contains(':') {
        return match name.parse::<IpAddr>() {
            Ok(_) => Ok(()),
            Err(_) => wrong("it has a colon, and is no IPv6 address"),
        };
    }
    if name.chars().count() > MAX_NAME {
        return wrong("it is longer than 253 characters");
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || !c.is_ascii();
    let mut labels = name.strip_suffix('.').unwrap_or(name).split('.');
    if name != "."
        && !labels
            .clone()
            .all(|l| (1..=MAX_LABEL).contains(&l.chars().count()))
    {
        return wrong("between dots there are 1 to 63 characters");
    }
    if !labels.all(|label| label.chars().all(allowed)) {
        return wrong("it has other characters than letters, digits, - and _");
    }
    Ok(())
}

/// A name as it is asked for, international ones encoded.
fn encoded(name: &str) -> Result<Name, Failure> {
    Name::from_utf8(name)
        .map_err(|error| Failure::permanent(format!("{name} is not a host name: {error}")))
}

impl Operation for Ping {
    const NAME: &'static str = "network.ping";
    type Input = PingInput;

    fn schema() -> Value {
        input::schema::<PingInput>()
    }

    fn check(&self, input: &PingInput) -> Result<(), String> {
        check_name("address", &input.address)
    }

    async fn run(&self, input: PingInput, _: Context) -> Result<Value, Failure> {
        let address = resolve(&input.address).await?;
        let kind = if address.is_ipv4() {
            ICMP::V4
        } else {
            ICMP::V6
        };
        let client = Client::new(&Config::builder().kind(kind).build())
            .map_err(|error| no_socket(&error))?;
        let mut pinger = client.pinger(address, PingIdentifier(rand::random())).await;
        pinger.timeout(ANSWER_TIMEOUT);
        let mut round_trips = Vec::new();
        let mut last_error = String::new();
        for sequence in 0..input.count {
            match pinger.ping(PingSequence(sequence), &[0; 32]).await {
                Ok((_, round_trip)) => round_trips.push(round_trip.as_secs_f64() * 1000.0),
                // A firewall, or an address nobody may ping: the next packet fares no better.
                Err(SurgeError::IOError(error)) if error.kind() == ErrorKind::PermissionDenied => {
                    let error =
                        format!("this host does not let the worker ping {address}: {error}");
                    return Err(Failure::permanent(error));
                }
                Err(error) => last_error = error.to_string(),
            }
        }
        let result = json!({
            "address": address,
            "sent": input.count,
            "received": round_trips.len(),
            "round_trip_ms": round_trips,
        });
        if round_trips.is_empty() {
            return Err(
                Failure::passing(format!("no answer from {address}: {last_error}"))
                    .with_result(result),
            );
        }
        Ok(result)
    }
}

async fn resolve(name: &str) -> Result<IpAddr, Failure> {
    if let Ok(address) = name.parse() {
        return Ok(address);
    }
    let found = in_time(name, resolver()?.lookup_ip(encoded(name)?)).await?;
    let first = found.iter().next();
    first.ok_or_else(|| Failure::permanent(format!("{name} has no address")))
}

/// What the host is configured to ask, its hosts file included.
fn resolver() -> Result<TokioResolver, Failure> {
    TokioResolver::builder_tokio()
        .and_then(hickory_resolver::ResolverBuilder::build)
        .map_err(|error| {
            Failure::passing(format!(
                "cannot use the system's resolver configuration: {error}"
            ))
        })
}

/// Waits for the answer to a question about a name.
async fn in_time<T>(
    name: &str,
    lookup: impl Future<Output = Result<T, NetError>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(LOOKUP_TIMEOUT, lookup).await {
        Err(_) => Err(Failure::passing(format!("looking up {name} took too long"))),
        Ok(Err(error)) => Err(not_found(name, &error)),
        Ok(Ok(found)) => Ok(found),
    }
}

/// A server that says there is nothing will say so again; one that says nothing may yet.
fn not_found(name: &str, error: &NetError) -> Failure {
    let code = match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => Some(none.response_code),
        _ => None,
    };
    match code {
        Some(ResponseCode::NXDomain) => Failure::permanent(format!("{name} does not exist")),
        Some(ResponseCode::NoError) => {
            Failure::permanent(format!("{name} has no record of this type"))
        }
        _ => Failure::passing(format!("cannot look up {name}: {error}")),
    }
}

fn no_socket(error: &io::Error) -> Failure {
    if error.kind() == ErrorKind::PermissionDenied {
        return Failure::permanent(
            "this host does not let the worker send ICMP: its group has to be in net.ipv4.ping_group_range",
        );
    }
    Failure::passing(format!("cannot open an ICMP socket: {error}"))
}

pub(super) struct Dns;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DnsInput {
    /// A host name; for PTR, or an address.
    #[schema(schema_with = host)]
    name: String,
    /// The type of record: A, AAAA, CAA, CNAME, MX, NS, PTR, SOA, SRV or TXT.
    #[schema(pattern = "^(A|AAAA|CAA|CNAME|MX|NS|PTR|SOA|SRV|TXT)$")]
    #[serde(default = "address_record", rename = "type")]
    kind: String,
}

fn address_record() -> String {
    "A".to_owned()
}

impl DnsInput {
    fn record_type(&self) -> Result<RecordType, String> {
        const KNOWN: [&str; 10] = [
            "A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT",
        ];
        let kind = self.kind.to_ascii_uppercase();
        let parsed = kind.parse().ok().filter(|_| KNOWN.contains(&kind.as_str()));
        parsed.ok_or_else(|| {
            format!(
                "unknown record type {:?}: one of {}",
                self.kind,
                KNOWN.join(", ")
            )
        })
    }

    /// What to ask for: an address stands for its name in the reverse zones.
    fn question(&self) -> Result<(Name, RecordType), Failure> {
        let kind = self.record_type().map_err(Failure::permanent)?;
        let name = match self.name.parse::<IpAddr>() {
            Ok(address) if kind == RecordType::PTR => address.into(),
            Ok(_) => {
                let why = "name is an address, which only type PTR looks up";
                return Err(Failure::permanent(why));
            }
            Err(_) => encoded(&self.name)?,
        };
        Ok((name, kind))
    }
}

impl Operation for Dns {
    const NAME: &'static str = "network.dns.get";
    type Input = DnsInput;

    fn schema() -> Value {
        input::schema::<DnsInput>()
    }

    fn check(&self, input: &DnsInput) -> Result<(), String> {
        check_name("name", &input.name)?;
        input.record_type().map(|_| ())
    }

    async fn run(&self, input: DnsInput, _: Context) -> Result<Value, Failure> {
        let (name, kind) = input.question()?;
        let found = in_time(&input.name, resolver()?.lookup(name, kind)).await?;
        let records: Vec<Value> = found
            .answers()
            .iter()
            .map(|record| {
                json!({
                    "name": record.name.to_string(),
                    "type": record.record_type().to_string(),
                    "ttl": record.ttl,
                    "data": record.data.to_string(),
                })
            })
            .collect();
        Ok(json!({ "name": input.name, "type": kind.to_string(), "records": records }))
    }
}
