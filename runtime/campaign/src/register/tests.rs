use proptest::prelude::*;

use super::*;

const HEADER: &str = "АВС/ DEF;От;До;Емкость;Оператор;Регион;ИНН\n";
const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

fn number(national: u64) -> PhoneNumber {
    PhoneNumber::parse(&format!("+7{national:010}")).unwrap()
}

fn loaded(csv: &str) -> (Register, Loaded) {
    let mut register = Register::clone(&Register::sample());
    let loaded = register.load("DEF-9xx.csv", csv, NOW).unwrap();
    (register, loaded)
}

/// `operator|region|zones`, or why not.
fn told(register: &Register, national: u64) -> String {
    match register.look_up(&number(national)) {
        Some(entry) => format!("{} / {} / {}", entry.operator, entry.region, entry.zones.join(",")),
        None => "no range".to_owned(),
    }
}

#[test]
fn the_ministrys_table_is_read_with_and_without_a_byte_order_mark() {
    let rows = "900;0000000;0061999;62000;ООО \"Т2 Мобайл\";Краснодарский край|Республика Адыгея;7743895280\r\n\
                924;8000000;8099999;100000;\"ПАО \"\"МегаФон\"\"\";г. Якутск|Республика Саха /Якутия/;7812014560\r\n";
    for text in [format!("{HEADER}{rows}"), format!("\u{feff}{HEADER}{rows}"), rows.to_owned()] {
        let (register, loaded) = loaded(&text);
        assert_eq!(
            (loaded.file.ranges, loaded.file.numbers, loaded.fault_count),
            (2, 162_000, 0),
            "{loaded:?}"
        );
        assert_eq!(loaded.file.digits, [9]);
        for (national, expected) in [
            (9_000_000_000, "ООО \"Т2 Мобайл\" / Краснодарский край|Республика Адыгея / Europe/Moscow"),
            (9_000_061_999, "ООО \"Т2 Мобайл\" / Краснодарский край|Республика Адыгея / Europe/Moscow"),
            (9_000_062_000, "no range"),
            (9_247_999_999, "no range"),
            (
                9_248_000_000,
                "ПАО \"МегаФон\" / г. Якутск|Республика Саха /Якутия/ / Asia/Yakutsk,Asia/Vladivostok,Asia/Srednekolymsk",
            ),
            (9_248_100_000, "no range"),
        ] {
            assert_eq!(told(&register, national), expected, "{national}");
        }
        assert!(!register.is_made());
    }
}

/// The newer tables have a column more, between the region and the tax number.
#[test]
fn columns_are_found_by_their_names() {
    let text = "ABC/DEF;От;До;Ёмкость;Регион;Оператор;Территория ГАР;ИНН\n\
                383;2000000;2000009;10;Новосибирская область;АО \"Связь\";обл. Новосибирская;1\n";
    let (register, _) = loaded(text);
    assert_eq!(told(&register, 3_832_000_005), "АО \"Связь\" / Новосибирская область / Asia/Novosibirsk");
}

#[test]
fn faulty_rows_are_told_with_their_lines_and_the_good_ones_taken() {
    let text = format!(
        "{HEADER}900;0000000;0000009;10;А;Омская область;1\n\
         \n\
         9x0;0000000;0000009;10;Б;Омская область;1\n\
         900;0000020;0000010;11;В;Омская область;1\n\
         900;0000005;0000030;26;Г;Омская область;1\n\
         901;0000000;0000009;99;Д;Омская область;1\n\
         901;00000000;0000009;;Е;Омская область;1\n\
         902;1;2\n\
         903;0000007;0000009;3;Ж;Томская область;1\n\
         903;0000000;0000007;8;З;Томская область;1\n"
    );
    let (register, loaded) = loaded(&text);
    let faults: Vec<String> = loaded.faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        faults,
        [
            "line 4: `9x0` is no code of three digits",
            "line 5: the range ends at 0000010, before it begins at 0000020",
            "line 6: its numbers stand in line 2 already",
            "line 7: the range holds 10 numbers, and its capacity says `99`",
            "line 8: `00000000` is no number of seven digits",
            "line 9: has 3 columns, and `оператор` is none of them",
            "line 10: its numbers stand in line 11 already",
        ]
    );
    assert_eq!((loaded.file.ranges, loaded.fault_count), (2, 7));
    assert_eq!(told(&register, 9_000_000_009), "А / Омская область / Asia/Omsk");
    assert_eq!(told(&register, 9_030_000_008), "no range");
}

#[test]
fn what_is_no_table_is_refused_with_a_sentence_and_changes_nothing() {
    for text in ["", HEADER, "id;name\n1;2\n", "\u{0}\u{1}\u{2}"] {
        let mut register = Register::clone(&Register::sample());
        let fault = register.load("x.csv", text, NOW).unwrap_err().to_string();
        assert!(fault.starts_with("x.csv holds no range: it should have the columns"), "{fault}");
        assert!(register.is_made() && register.look_up(&number(3_812_000_000)).is_some());
    }
    let mut register = Register::default();
    assert!(matches!(register.load("a\nb", HEADER, NOW), Err(RegisterFault::Name(_))));
}

/// A host that had only the sample must not tell people that their numbers do not exist.
#[test]
fn only_a_loaded_table_says_that_a_number_does_not_exist() {
    let sample = Register::sample();
    for national in [9_001_234_567, 3_361_234_567, 8_101_234_567] {
        assert!(sample.look_up(&number(national)).is_none());
        assert!(sample.check(&number(national)).is_ok(), "{national}");
    }
    let (register, _) = loaded("900;0000000;0061999;62000;А;Омская область;1\n");
    assert_eq!(register.check(&number(9_000_000_001)), Ok(NumberKind::Mobile));
    assert_eq!(register.check(&number(9_001_234_567)), Err(NumberRefused::NoRange));
    // Tables that were not loaded say nothing.
    assert_eq!(register.check(&number(3_812_345_678)), Ok(NumberKind::Geographic));
    // What the plan refuses is refused for that reason.
    assert_eq!(register.check(&number(9_401_234_567)), Err(NumberRefused::Abkhazia));
    assert_eq!(register.check(&number(7_001_234_567)), Err(NumberRefused::Kazakhstan));
}

#[test]
fn the_sample_knows_the_area_codes_of_all_zones_and_says_that_it_is_made() {
    let sample = Register::sample();
    assert!(sample.is_made());
    let at = jiff::Timestamp::from_millisecond(NOW.0).unwrap();
    let mut offsets = std::collections::BTreeSet::new();
    for code in 300..1000u64 {
        let Some(entry) = sample.look_up(&number(code * 10_000_000 + 2_234_567)) else { continue };
        assert!(!entry.zones.is_empty(), "{code}: {}", entry.region);
        assert!(entry.operator.starts_with("Образец"), "{code}: {}", entry.operator);
        for zone in entry.zones {
            let zone = jiff::tz::TimeZone::get(zone).unwrap();
            offsets.insert(zone.to_offset(at).seconds() / 3600);
        }
    }
    assert_eq!(offsets.into_iter().collect::<Vec<_>>(), (2..=12).collect::<Vec<_>>());
    assert_eq!(told(&sample, 4_012_345_678).rsplit(" / ").next(), Some("Europe/Kaliningrad"));
    assert_eq!(told(&sample, 4_152_345_678).rsplit(" / ").next(), Some("Asia/Kamchatka"));
    assert_eq!(told(&sample, 9_781_234_567).rsplit(" / ").next(), Some("Europe/Simferopol"));
    assert_eq!(told(&sample, 3_362_234_567).rsplit(" / ").next(), Some("Asia/Qyzylorda"));
}

#[test]
fn a_table_replaces_the_one_of_its_name_and_leaves_the_others() {
    let (mut register, _) = loaded("900;0000000;0000009;10;А;Омская область;1\n");
    register.load("ABC-3xx.csv", "381;2000000;2000009;10;Б;Омская область;1\n", NOW).unwrap();
    register
        .load("DEF-9xx.csv", "901;0000000;0000009;10;В;Томская область;1\n", UnixMillis(NOW.0 + 1))
        .unwrap();
    let files = register.files();
    let told: Vec<_> =
        files.iter().map(|file| (file.name.as_str(), file.loaded.0 - NOW.0, file.ranges)).collect();
    assert_eq!(told, [("DEF-9xx.csv", 1, 1), ("ABC-3xx.csv", 0, 1)]);
    assert!(register.look_up(&number(9_000_000_001)).is_none());
    assert!(register.look_up(&number(3_812_000_001)).is_some());
    let text = register.to_text();
    assert!(!text.contains(" А\n"), "names that no range has are not kept: {text}");
    let again = Register::from_text(&text).unwrap();
    assert_eq!((again.to_text(), again.files()), (text, files));
}

#[test]
fn a_damaged_register_is_refused_with_its_line() {
    let (register, _) =
        loaded("900;0000000;0000009;10;А;Омская область;1\n900;0000010;0000019;10;Б;Омская область;1\n");
    let text = register.to_text();
    for (from, to, line) in [
        ("zvonar-register 1", "zvonar-register 2", 1),
        ("9000000000 9 0 0\n", "9000000000 9 0 7\n", 6),
        ("9000000000 9 0 0\n", "9000000000 99999999 0 0\n", 6),
        ("9000000000 9 0 0\n", "9000000000 10 0 0\n", 7),
        ("9000000000 9 0 0\n", "", 7),
        ("9000000010 9 1 0\n", "9000000010 9\n", 7),
    ] {
        assert!(text.contains(from), "{from} in {text}");
        let damaged = Register::from_text(&text.replace(from, to));
        assert_eq!(damaged.map(|_| ()), Err(RegisterFault::Damaged(line)), "{from:?} -> {to:?}");
    }
    assert!(Register::from_text("").is_err() && Register::from_text("x").is_err());
}

proptest! {
    /// The second model looks through all rows.
    #[test]
    fn a_number_is_found_in_the_range_that_holds_it(
        rows in prop::collection::vec((0u64..40, 0u64..60, 0usize..3), 1..30),
        asked in prop::collection::vec(0u64..120, 1..20),
    ) {
        const REGIONS: [&str; 3] = ["Омская область", "Томская область", "Россия"];
        let mut csv = HEADER.to_owned();
        let mut naive: Vec<(u64, u64, usize)> = Vec::new();
        let mut by_place: Vec<_> = rows.iter().enumerate().collect();
        by_place.sort_by_key(|(line, (first, ..))| (*first, *line));
        for (_, (first, length, region)) in by_place {
            // The first in order stays where two lie over each other.
            if naive.iter().all(|(_, last, _)| last < first) {
                naive.push((*first, first + length, *region));
            }
        }
        for (first, length, region) in &rows {
            csv += &format!("900;{first:07};{:07};{};А;{};1\n", first + length, length + 1, REGIONS[*region]);
        }
        let (register, loaded) = loaded(&csv);
        prop_assert_eq!(loaded.file.ranges + loaded.fault_count, rows.len());
        let again = Register::from_text(&register.to_text()).unwrap();
        for asked in asked {
            let expected = naive.iter().find(|(first, last, _)| (*first..=*last).contains(&asked));
            let expected = expected.map(|(.., region)| REGIONS[*region]);
            for register in [&register, &again] {
                prop_assert_eq!(register.look_up(&number(9_000_000_000 + asked)).map(|entry| entry.region), expected);
            }
        }
    }

    #[test]
    fn no_text_makes_the_reader_stop(text in ".{0,200}") {
        let _ = Register::default().load("x.csv", &text, NOW);
        let _ = Register::from_text(&text);
    }
}
