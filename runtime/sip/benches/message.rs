//! What it costs to read an INVITE, and what it would cost with `rsip` (which refuses more).

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use zvonar_sip::{Transport, message::read};

const INVITE: &str = "INVITE sip:+79161234567@trunk.example SIP/2.0\r\n\
    Via: SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bK8f1e2d3c4b5a6978\r\nMax-Forwards: 70\r\n\
    From: <sip:+74951234567@192.0.2.1>;tag=1f2e3d4c5b6a7988\r\nTo: <sip:+79161234567@trunk.example>\r\n\
    Call-ID: 0123456789abcdef0123456789abcdef\r\nCSeq: 1 INVITE\r\nContact: <sip:zvonar@192.0.2.1:5060>\r\n\
    Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE\r\nUser-Agent: zvonar\r\n\
    Content-Type: application/sdp\r\nContent-Length: 160\r\n\r\n\
    v=0\r\no=- 1234567890 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
    m=audio 40000 RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n";

fn messages(c: &mut Criterion) {
    let mut group = c.benchmark_group("message");
    group.throughput(Throughput::Bytes(INVITE.len() as u64));
    read(INVITE.as_bytes(), Transport::Udp).expect("a sound message");
    group.bench_function("read INVITE", |bench| {
        bench.iter(|| read(black_box(INVITE.as_bytes()), Transport::Udp))
    });
    group.bench_function("read INVITE with rsip", |bench| {
        bench.iter(|| rsip::SipMessage::try_from(black_box(INVITE.as_bytes())));
    });
    group.finish();
}

criterion_group!(benches, messages);
criterion_main!(benches);
