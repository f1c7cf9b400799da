//! Trace contexts in and out: W3C Trace Context, in headers of requests and beside jobs.

use std::collections::HashMap;

use http::HeaderMap;
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;

use crate::queue::TraceContext;

const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";

/// The longest `tracestate` that is passed on, in bytes (section 3.3.1.5 asks for 512 at least).
const LONGEST_STATE: usize = 512;

/// Where a request says that it belongs; nowhere, if it says nothing that can be understood.
pub(super) fn of_request(headers: &HeaderMap) -> Context {
    let mut fields = HashMap::new();
    let mut parents = headers.get_all(PARENT).iter();
    // Of two parents neither can be trusted.
    if let (Some(parent), None) = (parents.next(), parents.next())
        && let Ok(parent) = parent.to_str()
    {
        fields.insert(PARENT.to_owned(), parent.to_owned());
        let states = headers.get_all(STATE).iter();
        let states: Vec<_> = states.filter_map(|state| state.to_str().ok()).collect();
        if !states.is_empty() {
            fields.insert(STATE.to_owned(), states.join(","));
        }
    }
    TraceContextPropagator::new().extract_with_context(&Context::new(), &fields)
}

/// Where a job says that it belongs.
pub(super) fn of_job(context: &TraceContext) -> Context {
    let mut fields = HashMap::from([(PARENT.to_owned(), context.traceparent.clone())]);
    if let Some(state) = &context.tracestate {
        fields.insert(STATE.to_owned(), state.clone());
    }
    TraceContextPropagator::new().extract_with_context(&Context::new(), &fields)
}

/// The span that is current, for a job made in it; `None` if there is none.
#[must_use]
pub fn current() -> Option<TraceContext> {
    let fields = Context::map_current(|context| {
        context.has_active_span().then(|| {
            let mut fields = HashMap::new();
            TraceContextPropagator::new().inject_context(context, &mut fields);
            fields
        })
    });
    let mut fields: HashMap<String, String> = fields?;
    let state = fields.remove(STATE);
    Some(TraceContext {
        traceparent: fields.remove(PARENT)?,
        tracestate: state.filter(|state| !state.is_empty() && state.len() <= LONGEST_STATE),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let fields = fields.iter();
        fields
            .map(|(name, value)| {
                (
                    http::HeaderName::from_static(name),
                    value.parse().expect("a value"),
                )
            })
            .collect()
    }

    #[test]
    fn what_a_request_says_comes_out_as_it_went_in() {
        let state = "a=1,b=2";
        let context = of_request(&headers(&[(PARENT, TRACEPARENT), (STATE, state)]));
        let _attached = context.attach();
        let passed_on = current().expect("a span");
        assert_eq!(passed_on.traceparent, TRACEPARENT);
        assert_eq!(passed_on.tracestate.as_deref(), Some(state));
        let again = of_job(&passed_on);
        assert_eq!(
            again.span().span_context(),
            Context::current().span().span_context(),
        );
    }

    #[test]
    fn nonsense_is_no_parent() {
        for fields in [
            &[][..],
            &[(
                PARENT,
                "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            )],
            &[(PARENT, "00-0af7651916cd43dd8448eb211c80319c-01")],
            &[(
                PARENT,
                "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            )],
            &[(PARENT, TRACEPARENT), (PARENT, TRACEPARENT)],
            &[(STATE, "a=1")],
        ] {
            let fields = fields
                .iter()
                .fold(HeaderMap::new(), |mut all, (name, value)| {
                    all.append(*name, value.parse().expect("a value"));
                    all
                });
            assert!(!of_request(&fields).has_active_span(), "{fields:?}");
        }
        assert_eq!(current(), None);
    }

    #[test]
    fn a_state_that_is_too_long_is_left_out() {
        let entries = [1, 2, 3].map(|n| format!("k{n}={}", "x".repeat(200)));
        let state = entries.join(",");
        let context = of_request(&headers(&[(PARENT, TRACEPARENT), (STATE, &state)]));
        let _attached = context.attach();
        let passed_on = current().expect("a span");
        assert_eq!(
            (passed_on.traceparent.as_str(), passed_on.tracestate),
            (TRACEPARENT, None)
        );
    }
}
