#!/usr/bin/env python3
"""Run callgen against a server under test (SUT) and account for the server's CPU and memory.

  bench.py ivr   --server IP:PORT --pids P[,P...] --rate CPS --secs S        the IVR job at one rate
  bench.py ramp  --server IP:PORT --pids ... --from 5 --to 200 --factor 1.3  the highest rate without failures
  bench.py fill  --server IP:PORT --pids ... --from 100 --to 2000 --factor 1.3  the most calls at once with a prompt playing
  bench.py hold  --server IP:PORT --pids ... --calls N --hold S              N calls at once, a long prompt playing
                 (--user idle --tx-audio 0 --expect-rtp 0: calls without audio, for the memory of a call)
  bench.py out   --listen IP:PORT --pids ... --rate CPS --secs S --originate 'CMD'
                 outbound: the SUT calls us; CMD starts it ({rate} {total} {to} are filled in)

Common: --tools DIR (where callgen was built), --gen-core 1, --nice N (of the generator and, by autogroup, of the SUT), --label TEXT, --json FILE (appends a line), --user NAME.
--pids takes process ids or @pidfile; children of those are counted, the ended ones too.
CPU/call = (CPU used from start to drain - idle CPU of the same processes over the same time) / calls completed.
foreign = CPU that others used on the SUT's core (--sut-core): a run with more than a few % is not a capacity measurement.
"""
import argparse, json, os, subprocess, sys, tempfile, threading, time

HERE = os.path.dirname(os.path.abspath(__file__))
TCK = os.sysconf("SC_CLK_TCK")


def pids_of(spec):
    out = []
    for p in filter(None, (spec or "").split(",")):
        out.append(int(open(p[1:]).read().split()[0]) if p.startswith("@") else int(p))
    return out


def tree(roots):
    """The processes and all of their living descendants."""
    kids = {}
    for d in os.listdir("/proc"):
        if d.isdigit():
            try:
                kids.setdefault(int(open(f"/proc/{d}/stat").read().rsplit(")", 1)[1].split()[1]), []).append(int(d))
            except OSError:
                pass
    seen, todo = [], list(roots)
    while todo:
        p = todo.pop()
        if p not in seen:
            seen.append(p)
            todo += kids.get(p, [])
    return seen


def cpu(roots):
    """User and system seconds, waited-for children included."""
    u = s = 0
    for p in tree(roots):
        try:
            f = open(f"/proc/{p}/stat").read().rsplit(")", 1)[1].split()
            u += int(f[11]) + int(f[13])
            s += int(f[12]) + int(f[14])
        except OSError:
            pass
    return u / TCK, s / TCK


def mem(roots):
    rss = thr = 0
    for p in tree(roots):
        try:
            for ln in open(f"/proc/{p}/status"):
                if ln.startswith("VmRSS"):
                    rss += int(ln.split()[1])
                elif ln.startswith("Threads"):
                    thr += int(ln.split()[1])
        except OSError:
            pass
    return rss / 1024, thr


def core_busy(core):
    for ln in open("/proc/stat"):
        if ln.startswith(f"cpu{core} "):
            f = list(map(int, ln.split()[1:]))
            return (sum(f[:8]) - f[3] - f[4]) / TCK, f[7] / TCK
    return 0, 0


def autogroup(pids, nice):
    """Where the kernel groups tasks by session (sched_autogroup), nice counts only inside a group: set the groups' own."""
    for p in pids if nice else []:
        for _ in range(20):  # the kernel takes one change in 100 ms from the unprivileged
            try:
                with open(f"/proc/{p}/autogroup", "w") as f:
                    f.write(str(nice))
                break
            except (BlockingIOError, InterruptedError):
                time.sleep(0.06)
            except OSError:
                break


class Watch(threading.Thread):
    def __init__(self, pids):
        super().__init__(daemon=True)
        self.pids, self.stop, self.rss, self.thr, self.series = pids, False, 0, 0, []

    def run(self):
        t0 = time.time()
        while not self.stop:
            r, t = mem(self.pids)
            self.rss, self.thr = max(self.rss, r), max(self.thr, t)
            self.series.append((round(time.time() - t0, 1), round(r, 1), t, round(sum(cpu(self.pids)), 2)))
            time.sleep(1)


def measure(a, args, background=None, quiet=False):
    """One callgen run; returns its JSON with the SUT's accounts added."""
    pids = pids_of(a.pids)
    t0, i0 = time.time(), sum(cpu(pids))
    time.sleep(a.idle)
    idle = (sum(cpu(pids)) - i0) / (time.time() - t0) if a.idle else 0
    rss0, thr0 = mem(pids)
    w = Watch(pids)
    w.start()
    fd, out = tempfile.mkstemp(suffix=".json")
    os.close(fd)
    cmd = ["taskset", "-c", str(a.gen_core), "nice", "-n", str(a.nice), f"{a.tools}/callgen"] + args + ["--out", out]
    (u0, s0), b0, t0 = cpu(pids), core_busy(a.sut_core), time.time()
    p = subprocess.Popen(cmd, start_new_session=True)
    autogroup([p.pid] + pids, a.nice)
    bg = subprocess.Popen(background, shell=True) if background else None
    p.wait()
    if bg:
        bg.terminate()
        bg.wait()
    (u1, s1), b1, wall = cpu(pids), core_busy(a.sut_core), time.time() - t0
    w.stop = True
    w.join()
    r = json.load(open(out))
    os.unlink(out)
    sut = u1 - u0 + s1 - s0
    net = max(0, sut - idle * wall)
    n = max(1, r["ok"] + r["failed"])
    r["label"] = a.label
    r["sut"] = {
        "cpu_s": round(sut, 2), "user_s": round(u1 - u0, 2), "sys_s": round(s1 - s0, 2), "idle_cpu_pct": round(100 * idle, 2),
        "cpu_ms_per_call": round(1000 * net / n, 3), "avg_core_pct": round(100 * sut / wall, 1),
        "rss_before_mb": round(rss0, 1), "rss_peak_mb": round(w.rss, 1), "threads_peak": w.thr,
        "core_busy_pct": round(100 * (b1[0] - b0[0]) / wall, 1), "steal_pct": round(100 * (b1[1] - b0[1]) / wall, 1),
        "foreign_pct": round(100 * (b1[0] - b0[0] - sut) / wall, 1),
    }
    r["series"] = w.series
    keep(a, r)
    if not quiet:
        show(r)
    return r


def keep(a, what):
    if a.json:
        with open(a.json, "a") as f:
            f.write(json.dumps(what) + "\n")


def show(r):
    s, f = r["sut"], r["fail"]
    g = lambda k: "/".join("%.1f" % r[k][q] for q in ("p50", "p90", "p99", "max")) if r[k]["n"] else "-"
    print(f"{r['label'] or ''} rate {r['rate']:.1f}: {r['ok']} ok {r['failed']} failed {({k: v for k, v in f.items() if v and k != 'first_at_s'})} peak {r['peak_concurrent']} calls, rexmit {r['sip_retransmits']}")
    print(f"   SUT cpu/call {s['cpu_ms_per_call']:.2f} ms, core {s['avg_core_pct']}% u{s['user_s']}/s{s['sys_s']}, RSS {s['rss_before_mb']}->{s['rss_peak_mb']} MB, threads {s['threads_peak']}, foreign {s['foreign_pct']}% steal {s['steal_pct']}%")
    print(f"   p50/p90/p99/max ms: pdd {g('pdd_ms')}  first rtp {g('first_rtp_ms')}  dtmf->B {g('dtmf2b_ms')}  gap {g('a2b_gap_ms')}  worst late {g('worst_late_per_call_ms')}")
    t = r["rtp"]
    print(f"   RTP rx {t['rx']} lost {t['lost_pct']}% late>10 {t['late_10ms_pct']}% >20 {t['late_20ms_pct']}% >40 {t['late_40ms_pct']}% >60 {t['late_60ms_pct']}%; generator cpu {r['gen_cpu_s']} s tick lag p99 {r['gen_tick_lag_ms']['p99']:.1f} max {r['gen_tick_lag_ms']['max']:.1f} ms", flush=True)


def good(r, tol):
    """No failure beyond tol, <1 % of packets lost or more than 40 ms late, set up in under 1 s at p99."""
    t = r["rtp"]
    return r["failed"] <= tol * r["started"] and t["lost_pct"] + t["late_40ms_pct"] < 1 and r["pdd_ms"]["p99"] < 1000


def even(r):
    """Nobody refused, <1 % of packets lost or more than 20 ms late: prompts that play as they should."""
    t = r["rtp"]
    return r["failed"] == 0 and t["lost_pct"] + t["late_20ms_pct"] < 1


def climb(a, run, held):
    """From --from by --factor up to --to, as long as `held` says yes; keeps and tells the highest."""
    n, best = a.from_, None
    while n <= a.to:
        if not held(run(n)):
            break
        best, n = n, n * a.factor
        time.sleep(2)
    keep(a, {"label": a.label, "climb": a.what, "held": best, "failed_at": n if n <= a.to else None})
    print(f"{a.label} {a.what}: held {best and round(best, 1)}, first that failed {round(n, 1) if n <= a.to else 'none'}", flush=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("what", choices=["ivr", "ramp", "fill", "hold", "out"])
    for o, d in (("server", "127.0.0.1:5060"), ("listen", "127.0.0.1:5090"), ("pids", ""), ("tools", HERE), ("label", ""), ("json", ""), ("user", ""), ("originate", "")):
        ap.add_argument("--" + o, default=d)
    for o, d in (("rate", 10), ("secs", 30), ("hold", 30), ("from", 5), ("to", 400), ("factor", 1.3), ("idle", 3), ("ramp", 0), ("tol", 0), ("dtmf-at", 2500), ("max-call", 20), ("answer-delay", 0)):
        ap.add_argument("--" + o, type=float, default=d, dest=o.replace("-", "_") if o != "from" else "from_")
    for o, d in (("gen-core", 1), ("sut-core", 0), ("nice", 0), ("calls", 100), ("ports", 4000), ("base-port", 20000), ("warmup", 0), ("tx-audio", 1), ("expect-rtp", 1)):
        ap.add_argument("--" + o, type=int, default=d)
    a = ap.parse_args()
    base = ["--server", a.server, "--listen", a.listen, "--ports", str(a.ports), "--base-port", str(a.base_port), "--dtmf-at", str(int(a.dtmf_at)), "--max-call", str(a.max_call), "--warmup", str(a.warmup), "--tx-audio", str(a.tx_audio), "--expect-rtp", str(a.expect_rtp)]
    if a.what == "ivr":
        measure(a, ["uac", "--user", a.user or "ivr", "--rate", str(a.rate), "--secs", str(a.secs), "--ramp", str(a.ramp)] + base)
    elif a.what == "ramp":
        climb(a, lambda rate: measure(a, ["uac", "--user", a.user or "ivr", "--rate", f"{rate:.2f}", "--secs", str(a.secs)] + base), lambda r: good(r, a.tol))
    elif a.what == "fill":
        # The calls come within --secs, then all stand for --hold.
        climb(a, lambda n: measure(a, ["uac", "--user", a.user or "hold", "--rate", f"{n / a.secs:.2f}", "--total", str(int(n)), "--secs", str(a.secs), "--hold", str(a.hold)] + base), even)
    elif a.what == "hold":
        secs = a.calls / a.rate
        measure(a, ["uac", "--user", a.user or "hold", "--rate", str(a.rate), "--total", str(a.calls), "--secs", str(secs), "--hold", str(a.hold)] + base)
    else:
        total = int(a.rate * a.secs)
        cmd = a.originate.format(rate=a.rate, total=total, to=a.listen)
        measure(a, ["uas", "--secs", str(a.secs + 1), "--answer-delay", str(a.answer_delay)] + base, background=cmd)


if __name__ == "__main__":
    main()
