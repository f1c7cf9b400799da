//! Readers for single values, which say what is allowed when they refuse one.
//!
//! Each is meant for `#[serde(deserialize_with = "...")]`. Scalars that arrive as text (from an
//! environment variable or a flag) are understood too, so one set of rules serves every source.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// Text that is not blank.
///
/// # Errors
/// When the value is not a string, or blank.
pub fn text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    struct Text;
    impl Visitor<'_> for Text {
        type Value = String;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("text that is not empty")
        }
        fn visit_str<E: Error>(self, given: &str) -> Result<String, E> {
            if given.trim().is_empty() {
                return Err(E::invalid_value(Unexpected::Str(given), &self));
            }
            Ok(given.to_owned())
        }
    }
    from.deserialize_str(Text)
}

/// `true` or `false`; as text also `1`, `yes`, `on` and their opposites, in any case.
///
/// # Errors
/// For anything else.
pub fn switch<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    from.deserialize_any(Switch)
}

/// As [`switch`], or null.
///
/// # Errors
/// As [`switch`].
pub fn optional_switch<'de, D: Deserializer<'de>>(from: D) -> Result<Option<bool>, D::Error> {
    #[derive(Deserialize)]
    struct Inner(#[serde(deserialize_with = "switch")] bool);
    Ok(Option::<Inner>::deserialize(from)?.map(|inner| inner.0))
}

struct Switch;

impl Visitor<'_> for Switch {
    type Value = bool;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true or false")
    }
    fn visit_bool<E: Error>(self, given: bool) -> Result<bool, E> {
        Ok(given)
    }
    fn visit_str<E: Error>(self, given: &str) -> Result<bool, E> {
        parse_switch(given).ok_or_else(|| E::invalid_value(Unexpected::Str(given), &self))
    }
}

/// Reads the words [`switch`] knows.
#[must_use]
pub fn parse_switch(given: &str) -> Option<bool> {
    match given.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// A whole number from `MIN` to `MAX`, both included.
///
/// # Errors
/// For anything else.
pub fn whole<'de, D, T, const MIN: u64, const MAX: u64>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64>,
{
    let number = from.deserialize_any(Whole { min: MIN, max: MAX })?;
    T::try_from(number).map_err(|_| {
        let bounds = Whole { min: MIN, max: MAX };
        D::Error::invalid_value(Unexpected::Unsigned(number), &bounds)
    })
}

struct Whole {
    min: u64,
    max: u64,
}

impl Visitor<'_> for Whole {
    type Value = u64;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {} to {}", self.min, self.max)
    }
    fn visit_u64<E: Error>(self, given: u64) -> Result<u64, E> {
        if (self.min..=self.max).contains(&given) {
            Ok(given)
        } else {
            Err(E::invalid_value(Unexpected::Unsigned(given), &self))
        }
    }
    fn visit_i64<E: Error>(self, given: i64) -> Result<u64, E> {
        match u64::try_from(given) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(given), &self)),
        }
    }
    fn visit_str<E: Error>(self, given: &str) -> Result<u64, E> {
        match given.trim().parse() {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(Unexpected::Str(given), &self)),
        }
    }
}

/// A duration with its unit, longer than zero: `250ms`, `30s`, `5m`, `1h 30m`, `7d`.
pub mod duration {
    use super::{
        Deserializer, Duration, Error, Serializer, Unexpected, Visitor, fmt, parse_duration,
    };

    /// Writes a duration as it would be read.
    ///
    /// # Errors
    /// Only those of the serializer.
    pub fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&humantime::format_duration(*value))
    }

    /// Reads a duration.
    ///
    /// # Errors
    /// When there is no unit, or the duration is zero or beyond a hundred years.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        from.deserialize_str(Human)
    }

    struct Human;

    impl Visitor<'_> for Human {
        type Value = Duration;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a duration longer than zero, with its unit, such as 250ms, 30s or 5m")
        }
        fn visit_str<E: Error>(self, given: &str) -> Result<Duration, E> {
            parse_duration(given).ok_or_else(|| E::invalid_value(Unexpected::Str(given), &self))
        }
    }
}

/// As [`duration`], or null.
pub mod optional_duration {
    use super::{Deserialize, Deserializer, Duration, Serializer, duration};

    /// Writes a duration as it would be read.
    ///
    /// # Errors
    /// Only those of the serializer.
    pub fn serialize<S: Serializer>(value: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => duration::serialize(value, to),
            None => to.serialize_none(),
        }
    }

    /// Reads a duration or null.
    ///
    /// # Errors
    /// As [`duration::deserialize`].
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        #[derive(Deserialize)]
        struct Inner(#[serde(with = "duration")] Duration);
        Ok(Option::<Inner>::deserialize(from)?.map(|inner| inner.0))
    }
}

/// The longest duration that makes sense, so that adding one to a clock never overflows.
const LONGEST: Duration = Duration::from_hours(24 * 36_525);

/// Reads a duration as configuration files spell it; `None` where [`duration`] refuses.
#[must_use]
pub fn parse_duration(given: &str) -> Option<Duration> {
    let parsed = humantime::parse_duration(given.trim()).ok()?;
    (parsed > Duration::ZERO && parsed <= LONGEST).then_some(parsed)
}

/// The path of an endpoint: absolute, of plain characters, without a trailing slash.
///
/// # Errors
/// For anything else.
pub fn url_path<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    struct Path;
    impl Visitor<'_> for Path {
        type Value = String;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a path such as /metrics, of letters, digits and . _ ~ - between slashes")
        }
        fn visit_str<E: Error>(self, given: &str) -> Result<String, E> {
            let plain = |part: &str| {
                !part.is_empty()
                    && part != "."
                    && part != ".."
                    && part
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b))
            };
            match given.strip_prefix('/') {
                Some(rest) if rest.split('/').all(plain) => Ok(given.to_owned()),
                _ => Err(E::invalid_value(Unexpected::Str(given), &self)),
            }
        }
    }
    from.deserialize_str(Path)
}

/// As [`url_path`], or null.
///
/// # Errors
/// As [`url_path`].
pub fn optional_url_path<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    struct Inner(#[serde(deserialize_with = "url_path")] String);
    Ok(Option::<Inner>::deserialize(from)?.map(|inner| inner.0))
}

/// A metric name prefix: a letter, then letters, digits and underscores.
///
/// # Errors
/// For anything else.
pub fn name_prefix<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    struct Prefix;
    impl Visitor<'_> for Prefix {
        type Value = String;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a letter followed by letters, digits and underscores, 64 at most")
        }
        fn visit_str<E: Error>(self, given: &str) -> Result<String, E> {
            let ok = given.len() <= 64
                && given.starts_with(|c: char| c.is_ascii_alphabetic())
                && given
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if ok {
                Ok(given.to_owned())
            } else {
                Err(E::invalid_value(Unexpected::Str(given), &self))
            }
        }
    }
    from.deserialize_str(Prefix)
}

/// Histogram bounds, or null for the instrument's own: finite, and each above the one before.
///
/// # Errors
/// For anything else, and for a list that is empty or longer than 256.
pub fn bounds<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<f64>>, D::Error> {
    let Some(list) = Option::<Vec<Bound>>::deserialize(from)? else {
        return Ok(None);
    };
    let list: Vec<f64> = list.into_iter().map(|bound| bound.0).collect();
    let rising = list.windows(2).all(|pair| pair[0] < pair[1]);
    if list.is_empty() || list.len() > 256 || !rising || list.iter().any(|b| !b.is_finite()) {
        return Err(D::Error::custom(
            "expected 1 to 256 finite bounds, each above the one before",
        ));
    }
    Ok(Some(list))
}

struct Bound(f64);

impl<'de> Deserialize<'de> for Bound {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Bound;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number such as 0.25")
            }
            fn visit_f64<E: Error>(self, given: f64) -> Result<Bound, E> {
                Ok(Bound(given))
            }
            fn visit_u64<E: Error>(self, given: u64) -> Result<Bound, E> {
                Ok(Bound(given as f64))
            }
            fn visit_i64<E: Error>(self, given: i64) -> Result<Bound, E> {
                Ok(Bound(given as f64))
            }
        }
        from.deserialize_any(Number)
    }
}

/// A host and port to listen on: `127.0.0.1:8080`, `[::1]:0`, `localhost:9464`.
///
/// Port 0 means any free port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddr {
    host: String,
    port: u16,
}

impl ListenAddr {
    /// The address as a resolver wants it: IPv6 without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 0 means any.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether only this machine can connect. A host name other than `localhost` counts as
    /// reachable from elsewhere: what it resolves to may change.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        }
    }
}

/// Why a listen address was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected HOST:PORT such as 127.0.0.1:8080, [::1]:8080 or localhost:0")]
pub struct BadListenAddr;

impl FromStr for ListenAddr {
    type Err = BadListenAddr;

    fn from_str(given: &str) -> Result<Self, BadListenAddr> {
        let (host, port) = given.rsplit_once(':').ok_or(BadListenAddr)?;
        if !port.bytes().all(|b| b.is_ascii_digit()) {
            return Err(BadListenAddr);
        }
        let port = port.parse().map_err(|_| BadListenAddr)?;
        let host = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
            Some(v6) => v6
                .parse::<std::net::Ipv6Addr>()
                .map(|_| v6)
                .map_err(|_| BadListenAddr)?,
            None => host,
        };
        let is_v6 = host.contains(':');
        let is_name = host.len() <= 253
            && !host.starts_with(['-', '.'])
            && host
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
        // Digits and dots alone are meant as an IPv4 address, so they have to be one.
        let is_bad_v4 = host.bytes().all(|b| b.is_ascii_digit() || b == b'.')
            && host.parse::<std::net::Ipv4Addr>().is_err();
        if host.is_empty() || is_bad_v4 || !(is_v6 || is_name) {
            return Err(BadListenAddr);
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Serialize for ListenAddr {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ListenAddr {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Address;
        impl Visitor<'_> for Address {
            type Value = ListenAddr;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("HOST:PORT such as 127.0.0.1:8080, [::1]:8080 or localhost:0")
            }
            fn visit_str<E: Error>(self, given: &str) -> Result<ListenAddr, E> {
                given
                    .parse()
                    .map_err(|_| E::invalid_value(Unexpected::Str(given), &self))
            }
        }
        from.deserialize_str(Address)
    }
}
