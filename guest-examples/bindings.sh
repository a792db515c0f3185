#!/bin/sh
# Makes the bindings of the Rust and C guests anew after a change of wit/. They are checked in: the macro that would make
# Rust's during the build takes minutes to compile, and C has no other way. JavaScript and Python read wit/ itself.
# Needs `cargo install wit-bindgen-cli --version 0.61.1 --no-default-features --features rust,c`.
set -eu
cd "$(dirname "$0")"
contract="// Contract: SHA-256 $(cat ../wit/*.wit | sha256sum | cut -d' ' -f1)"
made=$(mktemp -d)
trap 'rm -r "$made"' EXIT
wit-bindgen rust ../wit --world scenario --format --out-dir "$made"
for guest in rust-*; do
    { echo "$contract"; cat "$made/scenario.rs"; } > "$guest/src/bindings.rs"
done
wit-bindgen c ../wit --world scenario --out-dir "$made"
for guest in c-*; do
    mkdir -p "$guest/bindings"
    for file in scenario.h scenario.c; do
        # The object file with the component's type stays away: `zvonar build` adds the type itself, and nobody has to
        # check a binary in. Nothing refers to it then.
        { echo "$contract"; sed '/^\/\/ Ensure that the \*_component_type.o/,$d' "$made/$file"; } > "$guest/bindings/$file"
    done
done
# Short names on top of them, written by hand.
for guest in c-*; do
    for file in talk.h talk.c; do
        [ "$guest" = c-appointment ] || cp "c-appointment/bindings/$file" "$guest/bindings/$file"
    done
done
