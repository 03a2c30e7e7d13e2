//! A handful of seeds in the ordinary test run, and what has to hold of the simulator itself. The
//! program `martlet-sim` runs many more. Must not know how a run goes.

use martlet_sim::{run_script, run_seed};

#[test]
fn the_first_seeds_pass() {
    for seed in 0..24 {
        let outcome = run_seed(seed, false);
        assert!(outcome.failure.is_none(), "seed {seed}: {}", outcome.failure.unwrap());
        assert!(outcome.steps > 0 && outcome.messages > 0, "seed {seed} does nothing");
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in [0, 1, 5, 17, 42] {
        let (one, other) = (run_seed(seed, false), run_seed(seed, false));
        assert_eq!((one.hash, one.steps), (other.hash, other.steps), "seed {seed}");
    }
    assert_ne!(run_seed(1, false).hash, run_seed(2, false).hash);
}

#[test]
fn what_clients_get_does_not_depend_on_the_number_of_shards() {
    for seed in 0..24 {
        let alone = run_script(seed, 1).unwrap_or_else(|failure| panic!("seed {seed}: {failure}"));
        assert!(!alone.is_empty(), "seed {seed} delivers nothing");
        for shards in [2, 8] {
            let several = run_script(seed, shards);
            let several = several.unwrap_or_else(|failure| panic!("seed {seed}: {failure}"));
            for (client, one) in &alone {
                let other = several.get(client).map_or(&[][..], Vec::as_slice);
                for (i, (one, other)) in one.iter().zip(other).enumerate() {
                    assert_eq!(one, other, "seed {seed}, {shards} shards, {client}, batch {i}");
                }
                assert_eq!(one.len(), other.len(), "seed {seed}, {shards} shards, {client}");
            }
            assert_eq!(alone.len(), several.len(), "seed {seed}, {shards} shards");
        }
    }
}
