//! The contract of the store port, tried on every store that stands behind it. Owns what a store
//! has to offer for that ([`Subject`]); must not know how any of them works.

mod chance;
mod killed;
mod make;
mod model;
mod real;
mod simulated;
mod suite;

use martlet_engine::ShardId;
use martlet_engine::store::{Restored, StoreBatch, StoreEvent, StoreLoad};

/// A store under test, of a broker with [`SHARDS`] shards.
trait Subject {
    fn submit(&mut self, shard: ShardId, batch: StoreBatch);
    fn load(&mut self, shard: ShardId, load: StoreLoad);
    /// What it says until it has nothing left to do, in order.
    fn settle(&mut self) -> Vec<(ShardId, StoreEvent)>;
    /// The broker dies without a word, and starts again. What was not said to be stored may be
    /// lost; events that nobody took are. Gives what the next life is told, `Begin` first.
    fn crash(&mut self) -> Vec<Restored>;
}

const SHARDS: u16 = 3;

macro_rules! contract {
    ($($name:ident),* $(,)?) => {
        mod of_the_real_store {
            $(#[test] fn $name() { super::suite::$name(&mut super::real::Real::new()); })*
        }
        mod of_the_simulated_store {
            $(#[test] fn $name() { super::suite::$name(&mut super::simulated::Simulated::new()); })*
        }
    };
}

contract!(
    answers_each_batch_once_and_in_order,
    gives_everything_back_after_a_crash,
    keeps_the_last_of_what_is_written_twice,
    takes_what_is_already_there_or_already_gone,
    tells_waiting_from_flights_and_releases,
    shares_bodies_and_lets_go_of_them,
    answers_questions_in_order_and_within_bounds,
    lets_a_question_see_what_was_submitted_before,
    leaves_nothing_of_an_ended_session,
    stores_an_exchange_as_a_whole,
    loses_an_incomplete_exchange_as_a_whole,
    keeps_the_order_around_an_exchange,
    keeps_long_names_and_large_messages,
    counts_on_from_the_largest_numbers,
    keeps_a_prefix_of_each_shard_whatever_happens,
);
