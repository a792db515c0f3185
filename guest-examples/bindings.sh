#!/bin/sh
# Makes the bindings of the Rust guests anew after a change of wit/. They are checked in: the macro that would make them
# during the build takes minutes to compile.
# Needs `cargo install wit-bindgen-cli --version 0.61.1 --no-default-features --features rust`.
set -eu
cd "$(dirname "$0")"
for guest in rust-*; do
    wit-bindgen rust ../wit --world scenario --format --out-dir "$guest/src"
    {
        echo "// Contract: SHA-256 $(cat ../wit/*.wit | sha256sum | cut -d' ' -f1)"
        cat "$guest/src/scenario.rs"
    } > "$guest/src/bindings.rs"
    rm "$guest/src/scenario.rs"
done
