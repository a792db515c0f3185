//! A far end that says nothing.

use super::*;

#[test]
fn a_silent_far_end_is_told_once_until_it_comes_back() {
    let mut bench = Bench::started(quiet(), plan());
    bench.hear(THEM, 1, 1, 8, &[0xd5; 160]);
    bench.ticks(3000);
    bench.hear(THEM, 1, 2, 8, &[0xd5; 160]);
    bench.ticks(1001);
    assert_eq!(
        bench.trace(),
        "0ms heard | 10000ms silent since 0 | 60000ms back | 70000ms silent since 60000"
    );
    bench.stream.start(bench.now(), MediaPlan { receive: false, ..plan() });
    bench.ticks(3000);
    assert_eq!(bench.trace(), "", "silence is what hold sounds like");
}

/// A telephone that died on hold was told while nobody could act on it, and never again.
#[test]
fn a_silence_that_goes_on_is_told_anew_after_a_hold_and_to_whoever_is_bridged() {
    let mut bench = Bench::started(quiet(), plan());
    bench.hear(THEM, 1, 1, 8, &[0xd5; 160]);
    bench.ticks(50);
    bench.stream.start(bench.now(), MediaPlan { send: false, ..plan() });
    bench.ticks(1450);
    assert_eq!(bench.trace(), "0ms heard | 11000ms silent since 0", "it may be by right, and is told once");
    bench.stream.start(bench.now(), plan());
    bench.ticks(1000);
    assert_eq!(bench.trace(), "40000ms silent since 0");
    bench.stream.bridge(bench.now());
    bench.stream.unbridge();
    bench.ticks(1000);
    assert_eq!(bench.trace(), "60000ms silent since 0");
    bench.hear(THEM, 1, 2, 8, &[0xd5; 160]);
    bench.hear(THEM, 1, 3, 8, &[0xd5; 160]);
    assert_eq!(bench.trace(), "70000ms back", "however often it was told");
    // One who came back while it was agreed anew is told to be back all the same.
    bench.ticks(501);
    bench.stream.start(bench.now(), plan());
    bench.hear(THEM, 1, 4, 8, &[0xd5; 160]);
    assert_eq!(bench.trace(), "80000ms silent since 70000 | 80020ms back");
}

#[test]
fn comfort_noise_and_a_pause_in_the_numbers_show_that_silence_is_left_out() {
    let sound = [0xd5; 160];
    let silent = |hear: &dyn Fn(&mut Bench)| {
        let mut bench = Bench::started(quiet(), plan());
        hear(&mut bench);
        bench.ticks(501);
        bench.trace()
    };
    let by_right = "0ms heard | 10000ms silent since 0, as it may be";
    let dead = "0ms heard | 10000ms silent since 0";
    let packets = |packets: Vec<(u16, u32, u8)>| {
        silent(&move |bench| {
            for (sequence, timestamp, payload_type) in &packets {
                assert!(bench.hear_at(*timestamp, THEM, 1, *sequence, *payload_type, &sound));
            }
        })
    };
    assert_eq!(packets(vec![(1, 160, 8), (2, 320, 13)]), by_right);
    assert_eq!(packets(vec![(u16::MAX, 0u32.wrapping_sub(160), 8), (0, 1600, 8)]), by_right);
    // Sound without a seam; a short hole; what the network lost; packets in the wrong order.
    assert_eq!(packets(vec![(1, 160, 8), (2, 320, 8), (3, 480, 8)]), dead);
    assert_eq!(packets(vec![(1, 160, 8), (2, 1919, 8)]), dead);
    assert_eq!(packets(vec![(1, 160, 8), (40, 6400, 8)]), dead);
    assert_eq!(packets(vec![(1, 160, 8), (41, 6560, 8), (40, 6400, 8), (42, 6720, 8)]), dead);
    // A hold is no pause, and another telephone may have other habits.
    let held = silent(&|bench| {
        bench.hear_at(160, THEM, 1, 1, 8, &sound);
        bench.stream.start(bench.now(), plan());
        bench.hear_at(16_000, THEM, 1, 2, 8, &sound);
    });
    assert_eq!(held, dead);
    let moved = silent(&|bench| {
        bench.hear_at(160, THEM, 1, 1, 13, &sound);
        bench.stream.start(bench.now(), MediaPlan { remote: address("10.0.0.3:6000"), ..plan() });
        bench.hear_at(160, "10.0.0.3:6000", 1, 1, 8, &sound);
    });
    assert_eq!(moved, dead);
}
