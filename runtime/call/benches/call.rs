//! What one whole call costs: INVITE, 200, ACK, BYE, 200 through two hosts, both ends counted.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{Criterion, criterion_group, criterion_main};
use zvonar_call::{CallId, Calls, CallsConfig, Command, Dial, Event, Flow, Identity, Output, Transport};

struct Pair {
    hosts: [Calls; 2],
    now: Instant,
}

fn flow(from: usize) -> Flow {
    let address = |host: usize| format!("10.0.0.{}:5060", host + 1).parse().expect("an address");
    Flow { transport: Transport::Udp, local: address(from), remote: address(1 - from) }
}

impl Pair {
    fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "any instant does to count from")]
        let now = Instant::now();
        let config =
            CallsConfig { max_calls: 100_000, max_transactions: 1_000_000, ..CallsConfig::default() };
        Self { hosts: [Calls::new(config.clone(), 1), Calls::new(config, 2)], now }
    }

    /// Carries messages until nobody has any, and gives the last call that the callee was told of.
    fn carry(&mut self) -> Option<CallId> {
        let mut incoming = None;
        loop {
            let mut is_quiet = true;
            for host in 0..2 {
                while let Some(output) = self.hosts[host].poll_output() {
                    is_quiet = false;
                    match output {
                        Output::Send { bytes, .. } => {
                            self.hosts[1 - host].handle_bytes(self.now, flow(1 - host), &bytes);
                        }
                        Output::Event { call, event: Event::Incoming(_) } => incoming = Some(call),
                        Output::Event { event, .. } => {
                            black_box(event);
                        }
                        Output::Registered { .. } | Output::Guessing { .. } => {}
                    }
                }
            }
            if is_quiet {
                return incoming;
            }
        }
    }

    fn dial(&mut self) -> (CallId, CallId) {
        let dial = Dial {
            flow: flow(0),
            to_uri: "sip:+79161234567@10.0.0.2".into(),
            from: Identity { user: "+74951234567".into(), display: None, host: None },
            asserted_identity: None,
            credentials: None,
            local_media: "10.0.0.1:40000".parse().expect("an address"),
            codecs: Vec::new(),
            is_phone: false,
            is_leg: false,
            ring: Duration::from_secs(30),
            headers: Vec::new(),
        };
        let caller = self.hosts[0].dial(self.now, dial);
        let callee = self.carry().expect("the call comes in");
        let local_media = "10.0.0.2:40000".parse().expect("an address");
        self.hosts[1].command(self.now, callee, Command::Answer { local_media });
        self.carry();
        (caller, callee)
    }

    fn hang_up(&mut self, call: CallId) {
        self.hosts[0].command(self.now, call, Command::Hangup);
        self.carry();
    }

    /// A hundredth of a second passes: 100 calls/s, so that 3,200 calls' transactions wait for their timers at any time.
    fn pass(&mut self) {
        self.now += Duration::from_millis(10);
        for host in &mut self.hosts {
            if host.poll_timeout().is_some_and(|at| at <= self.now) {
                host.handle_timeout(self.now);
            }
        }
        self.carry();
    }
}

fn calls(c: &mut Criterion) {
    c.bench_function("call: INVITE 200 ACK BYE 200, both ends", |bench| {
        let mut pair = Pair::new();
        bench.iter(|| {
            let (caller, _) = pair.dial();
            pair.hang_up(caller);
            pair.pass();
        });
    });
    c.bench_function("the same among 5,000 talks", |bench| {
        let mut pair = Pair::new();
        for _ in 0..5_000 {
            pair.dial();
        }
        bench.iter(|| {
            let (caller, _) = pair.dial();
            pair.hang_up(caller);
            pair.pass();
        });
    });
}

criterion_group!(benches, calls);
criterion_main!(benches);
