//! Why there is no answer.

use std::error::Error;
use std::fmt;
use std::io;

/// Why there is no answer, or no more of it.
#[derive(Debug)]
pub(in crate::cli) enum Fault {
    /// It took longer than it may.
    TimedOut,
    /// The server's certificate is not one we trust.
    Untrusted(String),
    /// Anything else, as one line.
    Other(String),
}

impl Fault {
    /// Of an error, the cause behind all others, which is the one that tells.
    pub(super) fn new(error: &(dyn Error + 'static)) -> Self {
        let mut cause = error;
        loop {
            // An I/O error that wraps another names it as no source.
            let wrapped = cause.downcast_ref().and_then(io::Error::get_ref);
            let inner = wrapped.map(|inner| inner as &(dyn Error + 'static));
            match inner.or_else(|| cause.source()) {
                Some(inner) => cause = inner,
                None => break,
            }
        }
        match cause.downcast_ref() {
            Some(error @ rustls::Error::InvalidCertificate(_)) => {
                Self::Untrusted(error.to_string())
            }
            _ => Self::Other(cause.to_string()),
        }
    }

    /// What to look at; `given` is what named the server.
    pub(in crate::cli) fn hint(&self, given: &str) -> String {
        match self {
            Self::Untrusted(_) => {
                "--ca FILE names the authority to trust, and the name must be the certificate's"
                    .to_owned()
            }
            _ => format!("is the server running, and is {given} right?"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("no answer in time"),
            Self::Untrusted(why) | Self::Other(why) => f.write_str(why),
        }
    }
}
