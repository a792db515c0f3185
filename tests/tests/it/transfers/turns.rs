//! Who takes the call when the first does not, and a caller who is no telephone of ours.

use std::time::Duration;

use zvonar_tests::{
    machine,
    office::{DESK, Office},
    pcap,
    sipp::Sipp,
};

use super::{LIMIT, judge, stubborn, watch};

/// What the operator says, and for how long.
const VOICE: (f64, f64) = (800.0, 3.0);

/// A caller by SIPp who presses 1 and stays until the host hangs up.
fn caller(office: &Office) -> Option<Sipp> {
    let file = office.folder().join("caller.pcap");
    let (before, after) = (Duration::from_secs(2), Duration::from_secs(30));
    pcap::write(&file, &pcap::silence_with_key(before, '1', Duration::from_millis(120), after)).unwrap();
    let capture = file.display().to_string();
    let values = [("user", DESK), ("capture", capture.as_str())];
    let folder = office.folder().join("caller");
    Sipp::call(office.free_address(), office.config.listen, &folder, "inbound", &values, true).unwrap()
}

#[test]
fn a_caller_whom_one_operator_declines_is_given_to_the_next() {
    let _machine = machine::shared();
    let Some(mut office) = Office::new().unwrap() else { return };
    office.route("1 | | transfer: sales", &[]);
    office.operator("anna", "sales").unwrap();
    office.operator("boris", "sales").unwrap();
    let capture = watch(&office);
    office.open().unwrap();
    let Some(anna) = stubborn(&office, "anna", "refuse", "603 Decline") else { return };
    let boris = office.telephone("boris", "boris", VOICE).unwrap();
    // She has been there for longer, so she is asked first.
    office.available("anna").unwrap();
    std::thread::sleep(Duration::from_millis(50));
    office.available("boris").unwrap();
    let Some(caller) = caller(&office) else { return };
    caller.finish(LIMIT).unwrap_or_else(|why| panic!("{why}\n{}", office.output()));
    let asked = anna.finish(LIMIT).unwrap();
    assert!(asked.contains("INVITE sip:") && asked.contains("603 Decline"), "{asked}");
    drop(boris);

    let report = office.close().unwrap();
    judge(capture);
    let [row] = report.rows.as_slice() else { panic!("{report:?}") };
    let [transfer] = row.transfers.as_slice() else { panic!("{row:?}") };
    assert!(transfer.connected && transfer.operator.as_deref() == Some("boris"), "{row:?}");
    assert!(row.result == "Соединён" && (2..30).contains(&row.talk_s), "{row:?}");
    // A talk with an operator costs nothing, so all that is paid for is the robot.
    assert_eq!(row.kopecks, 4 * row.robot_s as i64, "{row:?}");
}

/// After a restart of the host no telephone is registered for minutes. A caller once found the operator out of reach, and
/// waited on although his telephone was there again.
#[test]
fn a_caller_who_waits_is_given_to_the_telephone_that_registers_meanwhile() {
    let _machine = machine::shared();
    let Some(mut office) = Office::new().unwrap() else { return };
    office.route("1 | | transfer: sales", &[]);
    office.operator("anna", "sales").unwrap();
    office.open().unwrap();
    office.available("anna").unwrap();
    let Some(caller) = caller(&office) else { return };
    // Long enough for his key, and then he waits.
    std::thread::sleep(Duration::from_secs(6));
    let anna = office.telephone("anna", "anna", VOICE).unwrap();
    caller.finish(LIMIT).unwrap_or_else(|why| panic!("{why}\n{}", office.output()));
    drop(anna);

    let report = office.close().unwrap();
    let [row] = report.rows.as_slice() else { panic!("{report:?}") };
    let [transfer] = row.transfers.as_slice() else { panic!("{row:?}") };
    assert!(transfer.connected && transfer.operator.as_deref() == Some("anna"), "{row:?}");
    // It is left alone for a minute when it was not reached: nobody has tried.
    assert!((3..45).contains(&transfer.wait_s), "{row:?}");
}
