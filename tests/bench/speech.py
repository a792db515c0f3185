#!/usr/bin/env python3
"""Recognition beside faster-whisper int8 on the same recordings, in one run, taken in turns.

  python3 -m venv V && V/bin/pip install faster-whisper
  cargo build --release -p zvonar-speech --features whisper --example speed
  zvonar model fetch base
  V/bin/python tests/bench/speech.py --speed target/release/examples/speed --model FOLDER [--callers 1 4 8]

FOLDER is whisper base as faster-whisper has it (model.bin, tokenizer.json, config.json, vocabulary.txt): the very model that
`zvonar model fetch base` makes its own of. The recordings are Asterisk's Russian prompts (Debian's
asterisk-core-sounds-ru-wav), put together with sox to 1, 3, 9.5, 15 and 28 seconds, through A-law. One thread each.
faster-whisper's tokens are not limited: it would stop early and look quick.
"""
import argparse, glob, json, os, resource, subprocess, sys, tempfile, time

SOUNDS = "/usr/share/asterisk/sounds/ru"
LENGTHS = [1, 3, 9.5, 15, 28]
PARTS = ["queue-youarenext", "vm-forward-multiple", "confbridge-mute-extended", "confbridge-lock-extended", "vm-helpexit",
         "pls-hold-while-try", "vm-whichbox", "vm-mismatch", "check-number-dial-again", "vm-undelete"]


def clips(folder):
    whole = os.path.join(folder, "whole.wav")
    subprocess.run(["sox", *[f"{SOUNDS}/{part}.wav" for part in PARTS], "-r", "8000", "-c", "1", "-e", "a-law", whole], check=True)
    for seconds in LENGTHS:
        name = os.path.join(folder, f"{seconds}.wav")
        subprocess.run(["sox", whole, name, "trim", "0", str(seconds)], check=True)
        yield seconds, name


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--speed", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--callers", nargs="*", default=["1", "4", "8"])
    parser.add_argument("--turns", type=int, default=3)
    a = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    from faster_whisper import WhisperModel
    peer = WhisperModel(a.model, device="cpu", compute_type="int8", cpu_threads=1, num_workers=1, local_files_only=True)
    with tempfile.TemporaryDirectory() as folder:
        files = list(clips(folder))
        theirs = {name: [] for _, name in files}
        for _ in range(a.turns):
            for _, name in files:
                begun, cpu = time.monotonic(), time.process_time()
                segments, _ = peer.transcribe(name, language="ru", beam_size=1, temperature=0.0, condition_on_previous_text=False)
                text = " ".join(segment.text.strip() for segment in segments)
                theirs[name].append((time.monotonic() - begun, time.process_time() - cpu, text))
        done = subprocess.run([a.speed, *[name for _, name in files]], check=True, capture_output=True, text=True)
        ours = {row["file"]: row for row in map(json.loads, done.stdout.splitlines())}
        print(f"{'s':>5} {'ours':>6} {'CPU':>6} {'last part':>9} {'theirs':>7} {'CPU':>6}  theirs / ours")
        for seconds, name in files:
            wall = sorted(row[0] for row in theirs[name])[a.turns // 2]
            cpu = sorted(row[1] for row in theirs[name])[a.turns // 2]
            row = ours[name]
            print(f"{seconds:>5} {row['whole_s']:>6.2f} {row['cpu_s']:>6.2f} {row['last_s']:>9.2f} {wall:>7.2f} {cpu:>6.2f}  {wall / row['whole_s']:.1f}"
                  f"  (after the last word {wall / max(row['last_s'], 1e-3):.1f})")
            print(f"      ours:   {row['text']}\n      theirs: {theirs[name][0][2]}", file=sys.stderr)
        three = next(name for seconds, name in files if seconds == 3)
        callers = [word for count in a.callers for word in ("--callers", count)]
        done = subprocess.run([a.speed, "--workers", "2", *callers, three], check=True, capture_output=True, text=True)
        print("".join(line + "\n" for line in done.stdout.splitlines() if "callers" in line), end="")


main()
