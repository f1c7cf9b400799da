//! `network.*`: what the host can reach.

use std::net::IpAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::RecordType;
use serde::Deserialize;
use serde_json::{Value, json};
use surge_ping::{Client, Config, ICMP, PingIdentifier, PingSequence};

use super::{Context, Failure, Operation};

/// Longest wait for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest a name lookup may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest name (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 253;

pub(super) struct Ping;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PingInput {
    address: String,
    #[serde(default = "one")]
    count: u16,
}

fn one() -> u16 {
    1
}

fn check_name(field: &str, name: &str) -> Result<(), String> {
    let fits = !name.is_empty()
        && name.len() <= MAX_NAME
        && !name.chars().any(|c| c.is_control() || c.is_whitespace());
    if fits {
        Ok(())
    } else {
        Err(format!("{field} is not a host name or address"))
    }
}

impl Operation for Ping {
    const NAME: &'static str = "network.ping";
    type Input = PingInput;

    fn check(&self, input: &PingInput) -> Result<(), String> {
        check_name("address", &input.address)?;
        if (1..=10).contains(&input.count) {
            Ok(())
        } else {
            Err("count must be between 1 and 10".to_owned())
        }
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
    let lookup = tokio::time::timeout(LOOKUP_TIMEOUT, tokio::net::lookup_host((name, 0))).await;
    let mut found = match lookup {
        Err(_) => return Err(Failure::passing(format!("looking up {name} took too long"))),
        Ok(Err(error)) => return Err(Failure::passing(format!("cannot look up {name}: {error}"))),
        Ok(Ok(found)) => found,
    };
    found
        .next()
        .map(|socket| socket.ip())
        .ok_or_else(|| Failure::passing(format!("{name} has no address")))
}

fn no_socket(error: &std::io::Error) -> Failure {
    if error.kind() == std::io::ErrorKind::PermissionDenied {
        return Failure::permanent(
            "this host does not let the worker send ICMP: its group has to be in net.ipv4.ping_group_range",
        );
    }
    Failure::passing(format!("cannot open an ICMP socket: {error}"))
}

pub(super) struct Dns;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DnsInput {
    name: String,
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
}

impl Operation for Dns {
    const NAME: &'static str = "network.dns.get";
    type Input = DnsInput;

    fn check(&self, input: &DnsInput) -> Result<(), String> {
        check_name("name", &input.name)?;
        input.record_type().map(|_| ())
    }

    async fn run(&self, input: DnsInput, _: Context) -> Result<Value, Failure> {
        let kind = input.record_type().map_err(Failure::permanent)?;
        let resolver = TokioResolver::builder_tokio()
            .and_then(hickory_resolver::ResolverBuilder::build)
            .map_err(|error| {
                Failure::passing(format!(
                    "cannot use the system's resolver configuration: {error}"
                ))
            })?;
        let lookup =
            tokio::time::timeout(LOOKUP_TIMEOUT, resolver.lookup(input.name.as_str(), kind)).await;
        let found = match lookup {
            Err(_) => {
                return Err(Failure::passing(format!(
                    "looking up {} took too long",
                    input.name
                )));
            }
            Ok(Err(error)) => {
                return Err(Failure::passing(format!(
                    "cannot look up {}: {error}",
                    input.name
                )));
            }
            Ok(Ok(found)) => found,
        };
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
