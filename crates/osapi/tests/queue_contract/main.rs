//! The promises of [`osapi::queue::Queue`], one test each, run unchanged on every backend.
//!
//! A case takes a [`Bed`]: a place for one queue, which can be opened several times at once, as the
//! processes of one installation do.

mod bed;
mod crash;
mod ending;
mod fleet;
mod leases;
mod submitting;

use bed::Bed;

/// Makes a test of each case for each backend.
macro_rules! contract {
    ($($module:ident::$case:ident,)*) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::$module::$case(super::Bed::sqlite()).await;
                }
            )*
        }

        mod with_nats {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::$module::$case(super::Bed::nats()).await;
                }
            )*
        }
    };
}

contract! {
    submitting::keeps_a_job_as_submitted,
    submitting::carries_the_trace_context_to_every_worker,
    submitting::knows_no_job_it_was_not_given,
    submitting::gives_the_same_job_for_the_same_key,
    submitting::makes_one_job_of_concurrent_requests_with_one_key,
    submitting::refuses_a_key_used_for_another_job,
    submitting::takes_a_batch_whole_or_not_at_all,
    submitting::refuses_more_than_may_wait,
    submitting::pages_newest_first,
    submitting::bounds_a_page_by_its_bytes,
    submitting::wakes_a_waiting_claim_from_another_process,
    submitting::closes_for_good,
    leases::hands_out_each_job_once,
    leases::refuses_the_late_result_of_a_lost_worker,
    leases::ends_an_attempt_once,
    leases::keeps_a_lease_that_is_extended,
    leases::takes_back_what_was_not_begun,
    leases::fails_a_job_whose_last_attempt_was_lost,
    leases::hands_out_no_more_than_asked,
    ending::completes_with_a_result,
    ending::retries_with_growing_delay_then_fails,
    ending::gives_up_at_once_when_told_so,
    ending::makes_a_new_job_of_a_failed_one,
    ending::cancels_a_waiting_job,
    ending::cancels_a_running_job,
    ending::removes_the_record_of_an_ended_job,
    ending::fails_what_does_not_start_in_time,
    ending::forgets_what_was_kept_long_enough,
    ending::shows_each_change_until_the_end,
    fleet::sends_a_job_to_its_host_only,
    fleet::runs_a_job_for_all_on_each_ready_worker,
    fleet::fails_a_job_for_all_with_one_of_its_units,
    fleet::cancels_a_job_for_all_with_its_units,
    fleet::needs_a_ready_worker_for_a_job_for_all,
    fleet::drains_and_undrains,
    fleet::tells_lost_workers_from_those_that_stopped,
    fleet::lets_the_newest_instance_have_the_name,
    crash::keeps_everything_over_a_restart,
    crash::loses_nothing_acknowledged_when_killed,
}
