//! Receivers that refuse, throttle, take a part, hang, and hang up.

use std::time::{Duration, Instant};

use meterline_otlp::{Exporter, Outcome};
use serde_json::json;
use xtask::OtlpReceiver;

use super::{BOTH, ENOUGH, Transport, export};

const SHORT: Duration = Duration::from_millis(400);

#[test]
fn what_may_be_tried_again_is_until_it_arrives() {
    let mut receiver = OtlpReceiver::start();
    for transport in BOTH {
        let mut exporter = transport.exporter(&receiver);
        let before = receiver.take().requests;
        let unavailable = json!({"how": "status", "code": 503, "grpc": "UNAVAILABLE"});
        receiver.behave(
            &[unavailable, json!({"how": "drop"})],
            json!({"how": "accept"}),
        );
        let (sent, left) = export(&mut exporter, ENOUGH);
        assert_eq!(
            (sent.outcome, sent.accepted, left),
            (Outcome::Success, 5, 0),
            "{sent:?}"
        );
        assert_eq!(sent.requests, 3);
        let received = receiver.take();
        assert_eq!(received.requests - before, 3);
        assert_eq!(received.points().count(), 5, "once");
    }
}

#[test]
fn what_may_not_be_tried_again_is_dropped_and_counted() {
    let mut receiver = OtlpReceiver::start();
    for (transport, how, said) in [
        (
            Transport::Http,
            json!({"how": "status", "code": 400, "message": "no room"}),
            "HTTP 400 Bad Request: no room",
        ),
        (
            Transport::Http,
            json!({"how": "status", "code": 500}),
            "HTTP 500 Internal Server Error",
        ),
        // Nobody else gets our headers.
        (
            Transport::Http,
            json!({"how": "status", "code": 307, "location": "http://127.0.0.1:1/"}),
            "HTTP 307 Temporary Redirect",
        ),
        (
            Transport::Grpc,
            json!({"how": "status", "grpc": "PERMISSION_DENIED", "message": "who?"}),
            "gRPC PERMISSION_DENIED: who?",
        ),
        (
            Transport::Grpc,
            json!({"how": "status", "grpc": "RESOURCE_EXHAUSTED", "message": "full"}),
            "gRPC RESOURCE_EXHAUSTED: full",
        ),
        (
            Transport::Grpc,
            json!({"how": "huge", "bytes": 200_000}),
            "the answer is too large",
        ),
    ] {
        let before = receiver.take().requests;
        receiver.behave(&[how], json!({"how": "accept"}));
        let (sent, left) = export(&mut transport.exporter(&receiver), ENOUGH);
        assert_eq!(
            (sent.outcome, sent.rejected, left),
            (Outcome::Refused, 5, 0),
            "{sent:?}"
        );
        assert_eq!(sent.message, said);
        assert_eq!(receiver.take().requests - before, 1, "{said}");
    }
}

#[test]
fn partial_success_is_told_and_not_sent_again() {
    let mut receiver = OtlpReceiver::start();
    for transport in BOTH {
        let partial = json!({"how": "partial", "rejected": 2, "message": "too\nold"});
        // More than there were makes no sense, and a word with none rejected is no trouble.
        let nonsense = json!({"how": "partial", "rejected": 99});
        let warning = json!({"how": "partial", "rejected": 0, "message": "deprecated"});
        receiver.behave(&[partial, nonsense, warning], json!({"how": "accept"}));
        let mut exporter = transport.exporter(&receiver);
        let (sent, left) = export(&mut exporter, ENOUGH);
        assert_eq!((sent.outcome, left), (Outcome::PartialSuccess, 0));
        assert_eq!(
            (sent.accepted, sent.rejected, &*sent.message),
            (3, 2, "too old")
        );
        let (sent, _) = export(&mut exporter, ENOUGH);
        assert_eq!((sent.accepted, sent.rejected), (0, 5));
        let (sent, _) = export(&mut exporter, ENOUGH);
        assert_eq!(
            (sent.outcome, &*sent.message),
            (Outcome::Success, "deprecated")
        );
    }
}

#[test]
fn the_receivers_own_delay_is_kept_also_from_one_export_to_the_next() {
    let mut receiver = OtlpReceiver::start();
    for transport in BOTH {
        let busy = |seconds| json!({"how": "status", "code": 429, "grpc": "RESOURCE_EXHAUSTED", "retry_after": seconds});
        let mut exporter = transport.exporter(&receiver);
        receiver.behave(&[busy(2)], json!({"how": "accept"}));
        let began = Instant::now();
        let (sent, _) = export(&mut exporter, ENOUGH);
        assert_eq!(
            (sent.outcome, sent.requests),
            (Outcome::Success, 2),
            "{sent:?}"
        );
        assert!(began.elapsed() >= Duration::from_secs(2));

        // Longer than there is time: the rest is left, and the next export does not even ask.
        receiver.behave(&[busy(100)], json!({"how": "accept"}));
        let (sent, left) = export(&mut exporter, Duration::from_secs(10));
        assert_eq!((sent.outcome, sent.requests, left), (Outcome::Failed, 1, 1));
        let (sent, left) = export(&mut exporter, Duration::from_secs(10));
        assert_eq!((sent.outcome, sent.requests, left), (Outcome::Failed, 0, 1));
        assert!(sent.message.contains("left alone"), "{sent:?}");
    }
}

#[test]
fn a_slow_one_is_waited_for_and_asked_once() {
    let mut receiver = OtlpReceiver::start();
    for transport in BOTH {
        receiver.behave(
            &[json!({"how": "delay", "seconds": 1})],
            json!({"how": "accept"}),
        );
        let before = receiver.take().requests;
        let (sent, left) = export(&mut transport.exporter(&receiver), ENOUGH);
        assert_eq!(
            (sent.outcome, sent.accepted, left),
            (Outcome::Success, 5, 0),
            "{sent:?}"
        );
        let received = receiver.take();
        assert_eq!(received.requests - before, 1);
        assert_eq!(received.points().count(), 5);
    }
}

#[test]
fn what_was_taken_but_not_answered_is_sent_again_as_it_was() {
    let mut receiver = OtlpReceiver::start();
    for transport in BOTH {
        receiver.behave(&[json!({"how": "lose"})], json!({"how": "accept"}));
        let (sent, left) = export(&mut transport.exporter(&receiver), ENOUGH);
        assert_eq!(
            (sent.outcome, sent.requests, left),
            (Outcome::Success, 2, 0),
            "{sent:?}"
        );
        let received = receiver.take();
        let [first, second] = &received.exports[..] else {
            panic!("{transport:?}: {} exports", received.exports.len())
        };
        // By their times a receiver can tell that they are the same.
        assert_eq!(first["points"], second["points"]);
        assert_eq!(first["points"].as_array().map(Vec::len), Some(5));
    }
}

#[test]
fn one_that_hangs_costs_its_time_and_no_more() {
    let mut receiver = OtlpReceiver::start();
    for transport in BOTH {
        let mut options = transport.options(&receiver);
        options.timeout = SHORT;
        let mut exporter = Exporter::new(options).expect("the options are fine");
        receiver.behave(&[json!({"how": "hang"})], json!({"how": "accept"}));
        // No time for a second attempt: the first retry comes after half a second at the earliest.
        let (sent, left) = export(&mut exporter, 2 * SHORT);
        assert_eq!(
            (sent.outcome, sent.requests, left),
            (Outcome::Failed, 1, 1),
            "{sent:?}"
        );
        assert!(sent.message.contains("no answer within"), "{sent:?}");
        let mut options = transport.options(&receiver);
        options.timeout = ENOUGH;
        let (sent, _) = export(&mut Exporter::new(options).expect("fine"), ENOUGH);
        assert_eq!(sent.outcome, Outcome::Success);
    }
}

#[test]
fn an_endless_answer_is_not_read() {
    let mut receiver = OtlpReceiver::start();
    receiver.behave(
        &[json!({"how": "huge", "bytes": 50_000_000})],
        json!({"how": "accept"}),
    );
    let (sent, _) = export(&mut Transport::Http.exporter(&receiver), ENOUGH);
    assert_eq!(
        (sent.outcome, sent.accepted),
        (Outcome::Success, 5),
        "200 is accepted"
    );
}

#[test]
fn nobody_there_is_a_failure_that_says_so() {
    let receiver = OtlpReceiver::start();
    let exporters = BOTH.map(|transport| transport.exporter(&receiver));
    drop(receiver);
    for mut exporter in exporters {
        let (sent, left) = export(&mut exporter, Duration::from_millis(100));
        assert_eq!((sent.outcome, left), (Outcome::Failed, 1));
        assert!(sent.message.contains("refused"), "{sent:?}");
    }
}
