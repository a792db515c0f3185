use proptest::prelude::*;

use super::*;

/// A packet of a press: when it arrives (ms), marker, timestamp, key, duration, end bit.
type Packet = (u64, bool, u32, char, u16, bool);

fn keys(packets: &[Packet]) -> String {
    let start = crate::testing::start();
    let mut receiver = KeyReceiver::default();
    packets
        .iter()
        .filter_map(|&(at_ms, marker, timestamp, key, duration, ended)| {
            let [high, low] = duration.to_be_bytes();
            let payload = [code(key).unwrap_or(16), (u8::from(ended) << 7) | 10, high, low];
            receiver.handle(start + Duration::from_millis(at_ms), marker, timestamp, &payload)
        })
        .collect()
}

fn press(at_ms: u64, timestamp: u32, key: char) -> Vec<Packet> {
    let mut packets: Vec<Packet> =
        (1..=5).map(|n| (at_ms + 20 * u64::from(n), n == 1, timestamp, key, n * 160, false)).collect();
    packets.extend((6..=8).map(|n| (at_ms + 20 * n, false, timestamp, key, 800, true)));
    packets
}

#[test]
fn a_press_is_told_once_however_often_it_is_repeated() {
    assert_eq!(keys(&press(0, 1000, '5')), "5");
}

#[test]
fn the_same_key_pressed_twice_is_two_keys() {
    let mut packets = press(0, 1000, '5');
    packets.extend(press(300, 3400, '5'));
    assert_eq!(keys(&packets), "55");
}

#[test]
fn any_single_packet_of_a_press_is_enough() {
    for packet in press(0, 1000, '#') {
        assert_eq!(keys(&[packet]), "#", "{packet:?}");
    }
}

#[test]
fn a_press_whose_end_was_lost_does_not_swallow_the_next() {
    let mut packets = press(0, 1000, '7');
    packets.truncate(4);
    // Without a marker either: it was in the packet that was lost.
    packets.extend(press(400, 4200, '7').into_iter().skip(1));
    assert_eq!(keys(&packets), "77");
}

#[test]
fn a_straggler_of_the_previous_press_is_not_a_new_one() {
    let mut packets = press(0, 1000, '1');
    packets.extend(press(300, 3400, '2'));
    packets.push((470, false, 1000, '1', 800, true));
    assert_eq!(keys(&packets), "12");
}

#[test]
fn a_long_press_in_segments_is_one_key() {
    let mut packets: Vec<Packet> =
        vec![(0, true, 1000, '9', 160, false), (8000, false, 1000, '9', 0xffff, false)];
    packets.push((8020, false, 1000 + 0xffff, '9', 160, false));
    packets.push((8040, false, 1000 + 0xffff, '9', 320, true));
    assert_eq!(keys(&packets), "9");
}

#[test]
fn a_gateway_that_moves_the_timestamp_within_a_press_does_not_press_five_times() {
    let packets: Vec<Packet> = (0..5u16)
        .map(|n| (20 * u64::from(n), n == 0, 1000 + 160 * u32::from(n), '4', 160 * (n + 1), n == 4))
        .collect();
    assert_eq!(keys(&packets), "4");
}

#[test]
fn timestamps_wrap() {
    let mut packets = press(0, u32::MAX - 100, '1');
    packets.extend(press(300, 2300, '2'));
    assert_eq!(keys(&packets), "12");
}

#[test]
fn events_that_are_no_keys_are_not_heard() {
    assert_eq!(keys(&[(0, true, 0, '!', 160, false)]), "");
}

#[test]
fn sent_keys_are_received_as_they_were_typed() {
    let start = crate::testing::start();
    let mut sender = KeySender::default();
    assert!(sender.push(b"159*0#Dd", KeyTiming::default()));
    let mut receiver = KeyReceiver::default();
    let mut heard = String::new();
    for tick in 0u32.. {
        let now = start + Duration::from_millis(20 * u64::from(tick));
        match sender.tick((u32::MAX - 1000).wrapping_add(tick * 160)) {
            KeyTick::Idle => break,
            KeyTick::Gap => {}
            KeyTick::Packet { marker, timestamp, payload, .. } => {
                heard.extend(receiver.handle(now, marker, timestamp, &payload));
            }
        }
    }
    assert_eq!(heard, "159*0#DD");
}

#[test]
fn a_press_ends_with_three_end_packets_of_the_full_length() {
    let mut sender = KeySender::default();
    assert!(
        sender.push(b"1", KeyTiming { hold: Duration::from_millis(100), gap: Duration::from_millis(40) })
    );
    let mut trace = String::new();
    loop {
        match sender.tick(7) {
            KeyTick::Idle => break,
            KeyTick::Gap => trace.push_str("gap "),
            KeyTick::Packet { marker, payload, ended, .. } => {
                let duration = u16::from_be_bytes([payload[2], payload[3]]);
                let marker = if marker { "m" } else { "" };
                trace.push_str(&format!("{marker}{duration}{} ", if ended { "e" } else { "" }));
            }
        }
    }
    assert_eq!(trace, "m160 320 480 640 800 800e 800e 800e gap gap ");
}

#[test]
fn keys_that_do_not_fit_or_are_no_keys_are_refused_whole() {
    let mut sender = KeySender::default();
    assert!(!sender.push(&[b'1'; 33], KeyTiming::default()));
    assert!(!sender.push(b"12x", KeyTiming::default()));
    assert!(!sender.is_busy());
    assert!(sender.push(&[b'1'; 32], KeyTiming::default()));
    assert!(!sender.push(b"2", KeyTiming::default()));
}

proptest! {
    /// Losing, repeating and swapping neighbours: as long as one packet of each press comes, in the order of presses,
    /// exactly the keys come out.
    #[test]
    fn losses_repeats_and_swaps_inside_a_press_change_nothing(
        presses in proptest::collection::vec((0usize..16, any::<[u8; 8]>()), 1..12),
        first: u32,
    ) {
        let mut expected = String::new();
        let mut packets = Vec::new();
        for (n, (which, fate)) in presses.iter().enumerate() {
            let key = char::from(KEYS[*which]);
            expected.push(key);
            let n = u32::try_from(n).expect("few");
            let whole = press(u64::from(n) * 300, first.wrapping_add(n * 2400), key);
            let mut kept: Vec<Packet> = Vec::new();
            for (packet, fate) in whole.iter().zip(fate) {
                match fate % 4 {
                    0 => {}
                    1 => kept.extend([*packet, *packet]),
                    2 if !kept.is_empty() => kept.insert(kept.len() - 1, *packet),
                    _ => kept.push(*packet),
                }
            }
            if kept.is_empty() {
                kept.push(whole[7]);
            }
            packets.extend(kept);
        }
        prop_assert_eq!(keys(&packets), expected);
    }

    #[test]
    fn arbitrary_payloads_never_panic(packets in proptest::collection::vec(
        (any::<bool>(), any::<u32>(), proptest::collection::vec(any::<u8>(), 0..8)), 0..50)) {
        let now = crate::testing::start();
        let mut receiver = KeyReceiver::default();
        for (marker, timestamp, payload) in packets {
            receiver.handle(now, marker, timestamp, &payload);
        }
    }
}
