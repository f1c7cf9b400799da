//! Ended spans as OTLP requests.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use meterline_otlp::{Batch, Export, Exporter, Outcome};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use prost::Message;
use tokio::runtime::Handle;
use tokio::sync::Mutex;

/// Delivers batches of spans. The SDK calls from a thread of its own; the requests are sent on the runtime.
pub(super) struct Spans {
    exporter: Arc<Mutex<Exporter>>,
    /// How long a batch may take, with its retries.
    within: Duration,
    runtime: Handle,
    resource: ResourceAttributesWithSchema,
    failing: AtomicBool,
}

impl fmt::Debug for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spans").finish_non_exhaustive()
    }
}

impl Spans {
    pub(super) fn new(exporter: Exporter, within: Duration, runtime: Handle) -> Self {
        Self {
            exporter: Arc::new(Mutex::new(exporter)),
            within,
            runtime,
            resource: ResourceAttributesWithSchema::default(),
            failing: AtomicBool::new(false),
        }
    }

    /// Says when an outage begins, and when it is over.
    fn tell(&self, export: &Export) {
        let failed = export.outcome != Outcome::Success;
        let failed_before = self.failing.swap(failed, Ordering::Relaxed);
        let (outcome, message) = (export.outcome.as_str(), &export.message);
        if failed && !failed_before {
            tracing::warn!(outcome, message, "spans could not all be exported");
        } else if failed_before && !failed {
            tracing::info!("spans are exported again");
        }
    }
}

impl SpanExporter for Spans {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let request = ExportTraceServiceRequest {
            resource_spans: group_spans_by_resource_and_scope(batch, &self.resource),
        };
        let batch = Batch {
            message: request.encode_to_vec().into(),
            points: spans,
        };
        let (exporter, within) = (Arc::clone(&self.exporter), self.within);
        let delivery = self.runtime.spawn(async move {
            let mut batches = VecDeque::from([batch]);
            exporter.lock().await.export(&mut batches, within).await
        });
        // The runtime ends before the provider only if the program forgot to shut it down.
        let export = delivery
            .await
            .map_err(|error| OTelSdkError::InternalFailure(error.to_string()))?;
        self.tell(&export);
        match export.outcome {
            Outcome::Success | Outcome::PartialSuccess => Ok(()),
            _ => Err(OTelSdkError::InternalFailure(export.message)),
        }
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}
