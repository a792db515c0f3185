//! What a call costs in an embedded QuickJS: the peer of the table in `./zv bench guests`.
//!
//! Each call has a runtime and a context of its own: without them calls would share a heap, and one call's flood would be
//! everybody's. There is no limit on CPU here, no recording, and what the engine's C code lets through reaches the host.
//! Prints one line of JSON with the same names as `runtime/scenario/examples/measure.rs`.
//!
//! `quickjs-bench [CALLS]`: how many calls wait at once.

use std::fs;
use std::time::{Duration, Instant};

use rquickjs::{Context, Ctx, Function, Object, Persistent, Runtime};

const SOURCE: &str = include_str!("menu.js");
const RUNS: usize = 3_000;
const WARM_UP: usize = 200;

/// A call that has begun: its heap, its global scope, its scenario.
struct Call {
    // Dropped in this order: the talk belongs to the context, the context to the runtime.
    talk: Option<Persistent<Object<'static>>>,
    context: Context,
    _runtime: Runtime,
}

impl Call {
    /// A fresh engine with the scenario in it, up to its first question.
    fn begin() -> rquickjs::Result<Self> {
        let runtime = Runtime::new()?;
        runtime.set_memory_limit(32 << 20);
        runtime.set_max_stack_size(512 << 10);
        let context = Context::full(&runtime)?;
        let talk = context.with(|ctx| {
            let host = Object::new(ctx.clone())?;
            host.set(
                "setting",
                Function::new(ctx.clone(), |name: String| (name == "repeats").then(|| "1".to_owned()))?,
            )?;
            host.set("result", Function::new(ctx.clone(), |name: String| drop(name))?)?;
            host.set("hangup", Function::new(ctx.clone(), || ())?)?;
            ctx.eval::<(), _>(SOURCE)?;
            let run: Function = ctx.globals().get("run")?;
            let talk: Object = run.call((host,))?;
            next(&talk, None)?;
            Ok::<_, rquickjs::Error>(Persistent::save(&ctx, talk))
        })?;
        Ok(Self { talk: Some(talk), context, _runtime: runtime })
    }

    /// The caller presses 1, and hears the answer to its end.
    fn finish(mut self) -> rquickjs::Result<bool> {
        let talk = self.talk.take().expect("it has begun");
        self.context.with(|ctx: Ctx<'_>| {
            let talk = talk.restore(&ctx)?;
            next(&talk, Some("1"))?;
            next(&talk, Some(""))
        })
    }
}

/// One step of the generator; whether it is done.
fn next(talk: &Object<'_>, answer: Option<&str>) -> rquickjs::Result<bool> {
    let next: Function = talk.get("next")?;
    let step: Object = next.call((rquickjs::function::This(talk.clone()), answer))?;
    step.get("done")
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|text| text.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn micros(time: Duration) -> f64 {
    (time.as_nanos() as f64 / 100.0).round() / 10.0
}

fn main() -> rquickjs::Result<()> {
    let calls: usize = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1_000);
    let (mut starts, mut wholes) = (Vec::new(), Vec::new());
    for run in 0..WARM_UP + RUNS {
        let begun = Instant::now();
        let call = Call::begin()?;
        let started = begun.elapsed();
        assert!(call.finish()?, "the talk is over");
        if run >= WARM_UP {
            starts.push(started);
            wholes.push(begun.elapsed());
        }
    }
    starts.sort();
    wholes.sort();
    let at = |times: &[Duration], share: usize| micros(times[times.len() * share / 1000]);
    let before = resident_kib();
    let parked: Vec<Call> = (0..calls).map(|_| Call::begin()).collect::<Result<_, _>>()?;
    let each = (resident_kib().saturating_sub(before)) as f64 / calls as f64;
    println!(
        "{{\"package\":\"menu in embedded QuickJS\",\"language\":\"js\",\"component_kib\":null,\"compile_cpu_s\":null,\
         \"start_p50_us\":{},\"start_p99_us\":{},\"whole_p50_us\":{},\"whole_p99_us\":{},\
         \"parked\":{},\"parked_kib\":{:.1},\"seats\":null}}",
        at(&starts, 500),
        at(&starts, 990),
        at(&wholes, 500),
        at(&wholes, 990),
        parked.len(),
        each
    );
    Ok(())
}
