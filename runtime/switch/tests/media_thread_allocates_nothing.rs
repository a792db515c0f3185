//! The media thread neither allocates nor frees: a counting allocator watches the threads called `media-N`. In a binary
//! of its own, since threads that start and end do allocate, and other tests start and end them.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use zvonar_media::event::KeyTiming;
use zvonar_media::{Clip, Codec, MediaPlan, Prompt};
use zvonar_switch::media_io::{Closed, MediaConfig, MediaEngine, MediaEvent, MediaEvents, MediaPort};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static COUNT: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static IS_MEDIA: Cell<bool> = const { Cell::new(false) };
}

/// Counts if this is a media thread. Asked anew until it is, since a thread has its name only a little after its start.
fn count() {
    let is_media = IS_MEDIA.try_with(|is_media| {
        if !is_media.get() {
            let mut name = [0u8; 16];
            // SAFETY: PR_GET_NAME writes at most sixteen bytes.
            unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
            is_media.set(name.starts_with(b"media-") && name[6].is_ascii_digit());
        }
        is_media.get()
    });
    if is_media == Ok(true) {
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: everything is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count();
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn engine(first: u16) -> MediaEngine {
    let config = MediaConfig { ports: first..=first + 199, threads: 1, ..MediaConfig::new(HERE) };
    MediaEngine::start(config).expect("the engine starts")
}

fn plan(port: &MediaPort) -> MediaPlan {
    let (event_send, event_receive) = (Some(101), Some(101));
    let remote = port.local_addr();
    MediaPlan { remote, codec: Codec::Pcma, event_send, event_receive, send: true, receive: true }
}

fn sound(ms: usize) -> Prompt {
    Prompt::from(Arc::new(Clip::from_samples(&vec![5000; ms * 8])))
}

/// Two calls of two engines that talk to each other.
fn pair(first: &MediaEngine, second: &MediaEngine) -> [(MediaPort, MediaEvents); 2] {
    let calls = [first.open().expect("a port"), second.open().expect("a port")];
    calls[0].0.start(plan(&calls[1].0));
    calls[1].0.start(plan(&calls[0].0));
    calls
}

async fn until<T>(events: &mut MediaEvents, mut wanted: impl FnMut(MediaEvent) -> Option<T>) -> T {
    loop {
        let event =
            tokio::time::timeout(Duration::from_secs(20), events.recv()).await.expect("an event within 20 s");
        if let Some(found) = wanted(event.expect("not closed yet")) {
            return found;
        }
    }
}

async fn closed(events: &mut MediaEvents) -> Closed {
    until(events, |event| match event {
        MediaEvent::Closed(closed) => Some(*closed),
        _ => None,
    })
    .await
}

/// Calls are opened, talk, are recorded, press keys, stop prompts, are flooded with garbage, bridged and parted, and close.
#[tokio::test]
async fn the_media_thread_never_allocates() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = (engine(30_000), engine(30_200));
    // What a thread sets up before its first turn is not the tick; both have had theirs when both have played.
    let mut warm = pair(&first, &second);
    for (port, events) in &mut warm {
        port.play(sound(20), false);
        until(events, |event| matches!(event, MediaEvent::Played { .. }).then_some(())).await;
    }
    let before = COUNT.load(Ordering::Relaxed);

    let mut calls = Vec::new();
    for n in 0..20 {
        let [us, them] = pair(&first, &second);
        us.0.record(folder.path().join(format!("{n}.wav"))).expect("a recorder");
        them.0
            .record_voice(folder.path().join(format!("{n}-voice.wav")), Duration::from_millis(500), None)
            .expect("a recorder");
        us.0.play(sound(300), true);
        them.0.play(sound(5000).repeated(), true);
        us.0.send_keys("12", KeyTiming::default()).expect("keys");
        calls.push((us, them));
    }
    let noise = UdpSocket::bind((HERE, 0)).expect("a socket");
    for round in 0..50 {
        for ((us, _), _) in &calls {
            let _ = noise.send_to(&[round; 40], us.local_addr());
        }
        for two in calls.chunks(2) {
            let [((us, _), (far, _)), ((other, _), _)] = two else { continue };
            match round {
                3 => drop(far.play_loop(sound(70))),
                5 => us.bridge(other).expect("one thread carries both"),
                20 => [us, other].into_iter().for_each(MediaPort::stop),
                24 => far.send_keys("7", KeyTiming::default()).expect("a key"),
                34 => drop(us.play(sound(60), false)),
                40 => other.pass_key('#'),
                47 => other.unbridge(),
                _ => {}
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for ((us, mut our_events), (them, mut their_events)) in calls {
        them.play(sound(100), false);
        them.stop();
        drop((us, them));
        assert!(closed(&mut our_events).await.report.packets_sent > 10);
        assert!(closed(&mut their_events).await.report.keys_heard >= 2);
    }
    assert_eq!(COUNT.load(Ordering::Relaxed) - before, 0, "allocations or frees on media threads");
    let stats = first.stats();
    assert!(stats.ticks > 400 && stats.packets_sent > 200 && stats.packets_passed > 50, "{stats:?}");
    // And the counter counts: a thread that ends frees what it owned.
    drop((first, second));
    assert!(COUNT.load(Ordering::Relaxed) > before);
}
