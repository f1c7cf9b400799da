//! Operations by name.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::{Context, Failure, Operation, command, network, node, sleep};

/// Why a job is not one that can be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no such operation.
    #[error("unknown operation {name:?}: one of {}", known.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<&'static str>,
    },
    /// The operation cannot work with this input.
    #[error("{name}: {reason}")]
    Input {
        /// The operation.
        name: &'static str,
        /// What is wrong with the input.
        reason: String,
    },
}

/// The operations a process knows.
pub struct Registry {
    handlers: BTreeMap<&'static str, Box<dyn Handler>>,
}

impl Registry {
    /// The built-in operations. `command.exec` may run the given programs and no others.
    #[must_use]
    pub fn builtin(allow_commands: Vec<String>) -> Self {
        let mut registry = Self {
            handlers: BTreeMap::new(),
        };
        registry.register(node::Hostname);
        registry.register(node::Uptime);
        registry.register(node::Load);
        registry.register(node::Memory);
        registry.register(node::Disk);
        registry.register(node::Status);
        registry.register(network::Ping);
        registry.register(network::Dns);
        registry.register(command::Exec::new(allow_commands));
        registry.register(sleep::Sleep);
        registry
    }

    /// Adds an operation, in place of one of the same name.
    pub fn register<O: Operation>(&mut self, operation: O) {
        self.handlers
            .insert(O::NAME, Box::new(Typed(operation, PhantomData)));
    }

    /// The names of all operations, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.handlers.keys().copied().collect()
    }

    /// The operations, each with the JSON Schema of its input.
    #[must_use]
    pub fn inputs(&self) -> BTreeMap<&'static str, Value> {
        let handlers = self.handlers.iter();
        handlers
            .map(|(name, handler)| (*name, handler.schema()))
            .collect()
    }

    /// Checks that an operation exists and takes this input.
    ///
    /// # Errors
    /// [`Refused`], worded for whoever submitted the job.
    pub fn check(&self, name: &str, data: &Value) -> Result<(), Refused> {
        self.handler(name)?.check(data)
    }

    /// Runs an operation.
    ///
    /// # Errors
    /// The operation's own [`Failure`], or a permanent one if it would be refused.
    pub fn run(
        &self,
        name: &str,
        data: Value,
        context: Context,
    ) -> BoxFuture<'_, Result<Value, Failure>> {
        match self.handler(name) {
            Ok(handler) => handler.run(data, context),
            Err(refused) => async move { Err(Failure::permanent(refused.to_string())) }.boxed(),
        }
    }

    fn handler(&self, name: &str) -> Result<&dyn Handler, Refused> {
        let found = self.handlers.get(name).map(AsRef::as_ref);
        found.ok_or_else(|| Refused::Unknown {
            name: name.chars().take(100).collect(),
            known: self.names(),
        })
    }
}

/// An operation whose input is still JSON.
trait Handler: Send + Sync {
    fn schema(&self) -> Value;
    fn check(&self, data: &Value) -> Result<(), Refused>;
    fn run(&self, data: Value, context: Context) -> BoxFuture<'_, Result<Value, Failure>>;
}

struct Typed<O: Operation>(O, PhantomData<fn(O::Input)>);

impl<O: Operation> Typed<O> {
    fn input(&self, data: Value) -> Result<O::Input, Refused> {
        let refuse = |reason: String| Refused::Input {
            name: O::NAME,
            reason,
        };
        // A struct would also take a list, field by field.
        if !data.is_object() {
            return Err(refuse("data is not a JSON object such as {}".to_owned()));
        }
        let input: O::Input = serde_path_to_error::deserialize(data).map_err(|error| {
            let path = error.path().to_string();
            match path.as_str() {
                "." => refuse(error.inner().to_string()),
                _ => refuse(format!("{path}: {}", error.inner())),
            }
        })?;
        self.0.check(&input).map_err(refuse)?;
        Ok(input)
    }
}

impl<O: Operation> Handler for Typed<O> {
    fn schema(&self) -> Value {
        O::schema()
    }

    fn check(&self, data: &Value) -> Result<(), Refused> {
        self.input(data.clone()).map(|_| ())
    }

    fn run(&self, data: Value, context: Context) -> BoxFuture<'_, Result<Value, Failure>> {
        match self.input(data) {
            Ok(input) => self.0.run(input, context).boxed(),
            Err(refused) => async move { Err(Failure::permanent(refused.to_string())) }.boxed(),
        }
    }
}
