//! Where the regions of Russia lie: from a region's name, in whatever spelling, to the zones of the tz database.
//!
//! Names are recognised by the beginnings of their words, so «Московская область», «г. Москва» and «Моск. обл.» are one
//! place. A name that speaks of several regions gives the zones of all of them, and so does a region that spans zones:
//! whoever lives there is called only when all agree, so a doubtful name makes the hours shorter and never wrong.

/// Beginnings of words (behind `=`: whole words) and the zones that they stand for. Words are compared in lower case
/// with `е` for `ё`. The offsets were checked against the tz database; none of these zones changes its clock.
const REGIONS: &[(&[&str], &[&str])] = &[
    (&["калинингр"], &["Europe/Kaliningrad"]),
    (
        &[
            "моск",
            "=мск",
            "=мо",
            "петербург",
            "=спб",
            "ленинградск",
            "=ло",
            "адыге",
            "архангельск",
            "белгород",
            "брянск",
            "владимир",
            "волог",
            "воронеж",
            "дагестан",
            "иванов",
            "ингуш",
            "кабардин",
            "балкар",
            "=кбр",
            "калмык",
            "калуж",
            "=калуга",
            "карача",
            "черкес",
            "=кчр",
            "карел",
            "=коми",
            "костром",
            "краснодар",
            "кубан",
            "=сочи",
            "курск",
            "липец",
            "=мари",
            "марий",
            "мордов",
            "мурманск",
            "ненецк",
            "=нао",
            "нижегород",
            "новгород",
            "орлов",
            "=орел",
            "пенз",
            "псков",
            "ростов",
            "рязан",
            "осети",
            "алани",
            "=рсо",
            "смоленск",
            "ставропол",
            "тамбов",
            "татар",
            "=казань",
            "твер",
            "тульск",
            "=тула",
            "чечен",
            "чечн",
            "чуваш",
            "ярослав",
            "донец",
            "=днр",
            "луганск",
            "=лнр",
            "запорож",
            "херсон",
        ],
        &["Europe/Moscow"],
    ),
    (&["крым", "севастопол", "симферопол"], &["Europe/Simferopol"]),
    (&["волгоград"], &["Europe/Volgograd"]),
    (&["киров"], &["Europe/Kirov"]),
    (&["самар", "тольятти", "удмурт", "ижевск"], &["Europe/Samara"]),
    (&["астрахан"], &["Europe/Astrakhan"]),
    (&["саратов"], &["Europe/Saratov"]),
    (&["ульянов"], &["Europe/Ulyanovsk"]),
    (
        &[
            "башк",
            "=уфа",
            "перм",
            "курган",
            "оренбург",
            "свердлов",
            "екатеринбург",
            "тюмен",
            "челябин",
            "ханты",
            "=хмао",
            "югр",
            "янао",
        ],
        &["Asia/Yekaterinburg"],
    ),
    // On Kazakhstan's soil, in the Russian numbering plan.
    (&["байконур"], &["Asia/Qyzylorda"]),
    (&["омск"], &["Asia/Omsk"]),
    (&["новосиб"], &["Asia/Novosibirsk"]),
    (&["алта", "барнаул"], &["Asia/Barnaul"]),
    (&["томск"], &["Asia/Tomsk"]),
    (&["кемеров", "кузбасс", "новокузнецк"], &["Asia/Novokuznetsk"]),
    (&["краснояр", "таймыр", "эвенк", "хакас", "тыва", "тува", "тувин"], &["Asia/Krasnoyarsk"]),
    (&["иркут", "бурят"], &["Asia/Irkutsk"]),
    (&["забайкал", "=чита", "читинск", "агинск"], &["Asia/Chita"]),
    (&["амурск"], &["Asia/Yakutsk"]),
    (
        &["приморск", "приморь", "владивосток", "хабаров", "еврейск", "=еао", "биробиджан"],
        &["Asia/Vladivostok"],
    ),
    (&["=саха", "якут"], &["Asia/Yakutsk", "Asia/Vladivostok", "Asia/Srednekolymsk"]),
    (&["магадан"], &["Asia/Magadan"]),
    (&["сахалин"], &["Asia/Sakhalin", "Asia/Srednekolymsk"]),
    (&["курил"], &["Asia/Srednekolymsk"]),
    (&["камчат", "коряк"], &["Asia/Kamchatka"]),
    (&["чукот"], &["Asia/Anadyr"]),
];

/// Districts whose names hold another region's.
const COMPOUND: [(&str, &str); 2] = [("ямало ненецк", "янао "), ("коми пермяцк", "перм")];

/// The zones of a region by its name, none twice: `г. Ангарск|Иркутская область`, «Республика Саха /Якутия/». Of parts
/// behind `|` the last one that names a region counts, since the others are places within it. Empty: nobody knows the
/// region, or it is all of Russia.
pub fn zones_of_region(name: &str) -> Vec<&'static str> {
    name.rsplit('|').map(zones_of_part).find(|zones| !zones.is_empty()).unwrap_or_default()
}

/// Whether a range of the register that is listed for this region may be anybody's in Russia: operators list numbers
/// for Moscow *and* its oblast that they give out everywhere.
pub(crate) fn is_federal(name: &str) -> bool {
    let words = words(name);
    let has = |start| words.split(' ').any(|word| word.starts_with(start));
    has("москва") && has("московск")
}

fn zones_of_part(part: &str) -> Vec<&'static str> {
    let words = words(part);
    let mut zones = Vec::new();
    for word in words.split(' ').filter(|word| !word.is_empty()) {
        let is = |stem: &&str| match stem.strip_prefix('=') {
            Some(whole) => word == whole,
            None => word.starts_with(stem),
        };
        for (stems, found) in REGIONS {
            if stems.iter().any(is) {
                zones.extend(found.iter().filter(|zone| !zones.contains(*zone)).copied().collect::<Vec<_>>());
            }
        }
    }
    zones
}

/// The words of a name in lower case, a space between them.
fn words(name: &str) -> String {
    let mut words = String::with_capacity(name.len());
    for letter in name.chars().flat_map(char::to_lowercase) {
        match letter {
            'ё' => words.push('е'),
            letter if letter.is_alphanumeric() => words.push(letter),
            _ if words.ends_with(' ') || words.is_empty() => {}
            _ => words.push(' '),
        }
    }
    for (compound, instead) in COMPOUND {
        if words.contains(compound) {
            words = words.replace(compound, instead);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    use super::*;

    /// The 89 regions as their constitution's article 65 spells them, with hours ahead of Greenwich.
    const ALL: &[(&str, &[i32])] = &[
        ("Республика Адыгея (Адыгея)", &[3]),
        ("Республика Алтай", &[7]),
        ("Республика Башкортостан", &[5]),
        ("Республика Бурятия", &[8]),
        ("Республика Дагестан", &[3]),
        ("Донецкая Народная Республика", &[3]),
        ("Республика Ингушетия", &[3]),
        ("Кабардино-Балкарская Республика", &[3]),
        ("Республика Калмыкия", &[3]),
        ("Карачаево-Черкесская Республика", &[3]),
        ("Республика Карелия", &[3]),
        ("Республика Коми", &[3]),
        ("Республика Крым", &[3]),
        ("Луганская Народная Республика", &[3]),
        ("Республика Марий Эл", &[3]),
        ("Республика Мордовия", &[3]),
        ("Республика Саха (Якутия)", &[9, 10, 11]),
        ("Республика Северная Осетия - Алания", &[3]),
        ("Республика Татарстан (Татарстан)", &[3]),
        ("Республика Тыва", &[7]),
        ("Удмуртская Республика", &[4]),
        ("Республика Хакасия", &[7]),
        ("Чеченская Республика", &[3]),
        ("Чувашская Республика - Чувашия", &[3]),
        ("Алтайский край", &[7]),
        ("Забайкальский край", &[9]),
        ("Камчатский край", &[12]),
        ("Краснодарский край", &[3]),
        ("Красноярский край", &[7]),
        ("Пермский край", &[5]),
        ("Приморский край", &[10]),
        ("Ставропольский край", &[3]),
        ("Хабаровский край", &[10]),
        ("Амурская область", &[9]),
        ("Архангельская область", &[3]),
        ("Астраханская область", &[4]),
        ("Белгородская область", &[3]),
        ("Брянская область", &[3]),
        ("Владимирская область", &[3]),
        ("Волгоградская область", &[3]),
        ("Вологодская область", &[3]),
        ("Воронежская область", &[3]),
        ("Запорожская область", &[3]),
        ("Ивановская область", &[3]),
        ("Иркутская область", &[8]),
        ("Калининградская область", &[2]),
        ("Калужская область", &[3]),
        ("Кемеровская область - Кузбасс", &[7]),
        ("Кировская область", &[3]),
        ("Костромская область", &[3]),
        ("Курганская область", &[5]),
        ("Курская область", &[3]),
        ("Ленинградская область", &[3]),
        ("Липецкая область", &[3]),
        ("Магаданская область", &[11]),
        ("Московская область", &[3]),
        ("Мурманская область", &[3]),
        ("Нижегородская область", &[3]),
        ("Новгородская область", &[3]),
        ("Новосибирская область", &[7]),
        ("Омская область", &[6]),
        ("Оренбургская область", &[5]),
        ("Орловская область", &[3]),
        ("Пензенская область", &[3]),
        ("Псковская область", &[3]),
        ("Ростовская область", &[3]),
        ("Рязанская область", &[3]),
        ("Самарская область", &[4]),
        ("Саратовская область", &[4]),
        ("Сахалинская область", &[11]),
        ("Свердловская область", &[5]),
        ("Смоленская область", &[3]),
        ("Тамбовская область", &[3]),
        ("Тверская область", &[3]),
        ("Томская область", &[7]),
        ("Тульская область", &[3]),
        ("Тюменская область", &[5]),
        ("Ульяновская область", &[4]),
        ("Херсонская область", &[3]),
        ("Челябинская область", &[5]),
        ("Ярославская область", &[3]),
        ("Москва", &[3]),
        ("Санкт-Петербург", &[3]),
        ("Севастополь", &[3]),
        ("Еврейская автономная область", &[10]),
        ("Ненецкий автономный округ", &[3]),
        ("Ханты-Мансийский автономный округ - Югра", &[5]),
        ("Чукотский автономный округ", &[12]),
        ("Ямало-Ненецкий автономный округ", &[5]),
    ];

    fn hours(name: &str) -> Vec<i32> {
        let at = Timestamp::from_millisecond(1_790_000_000_000).unwrap();
        let offset = |zone: &&str| TimeZone::get(zone).expect(zone).to_offset(at).seconds() / 3600;
        let hours: BTreeSet<i32> = zones_of_region(name).iter().map(offset).collect();
        hours.into_iter().collect()
    }

    #[test]
    fn every_region_of_russia_has_its_hours() {
        assert_eq!(ALL.len(), 89);
        for (name, expected) in ALL {
            assert_eq!(hours(name), *expected, "{name}");
            assert_eq!(hours(&name.to_uppercase()), *expected, "{name}");
        }
        // None of these clocks is ever changed, so the hours of a summer are those of a winter.
        for name in REGIONS.iter().flat_map(|(_, zones)| *zones) {
            let zone = TimeZone::get(name).expect(name);
            let offset = |ms| zone.to_offset(Timestamp::from_millisecond(ms).unwrap());
            assert_eq!(offset(1_768_435_200_000), offset(1_784_073_600_000), "{name}");
        }
    }

    #[test]
    fn a_region_is_known_in_all_spellings_of_registers_and_lists() {
        for (name, expected) in [
            ("г. Москва", &[3][..]),
            ("Москва и Московская область", &[3]),
            ("Моск. обл.", &[3]),
            ("г. Санкт - Петербург и Ленинградская область", &[3]),
            ("СПб", &[3]),
            ("Республика Саха /Якутия/", &[9, 10, 11]),
            ("Сахалинская обл.", &[11]),
            ("Томская обл.", &[7]),
            ("омская обл.", &[6]),
            ("ХМАО", &[5]),
            ("ЯНАО", &[5]),
            ("Ямало - Ненецкий АО", &[5]),
            ("Коми-Пермяцкий округ", &[5]),
            ("г. Ангарск|Иркутская область", &[8]),
            // The places within a region are called as other regions are.
            ("р-н Приморский|Архангельская область", &[3]),
            ("р-н Красноярский|Самарская обл.", &[4]),
            ("г. Северо-Курильск|Сахалинская область|", &[11]),
            ("Тюменская область, Ханты-Мансийский и Ямало-Ненецкий АО", &[5]),
            ("Амурская область и Хабаровский край", &[9, 10]),
            ("г. Байконур", &[5]),
            ("Российская Федерация", &[]),
            ("Россия", &[]),
            ("", &[]),
            ("||", &[]),
            ("Бавария", &[]),
        ] {
            assert_eq!(hours(name), expected, "{name}");
        }
        assert!(is_federal("г. Москва и Московская область") && !is_federal("г. Москва"));
        assert!(!is_federal("Московская область"));
    }
}
