//! Reads a contact list: a CSV file with the columns `lead` and `phone`, further numbers in `phone2`, `phone3` and so on,
//! and any other columns as the lead's fields.
//!
//! Lists come from spreadsheets, so the separator is found out (`,` `;` `|` or a tab), headers may be Russian («Контакт»,
//! «Телефон», «Телефон 2»), and the text is UTF-8, UTF-16 or windows-1251. A line that is no UTF-8 is read as
//! windows-1251 by itself: files that were put together from both are common.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use zvonar_model::{LeadId, PhoneNumber};

/// A row of the list.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) lead: LeadId,
    pub(crate) phones: Vec<PhoneNumber>,
    pub(crate) fields: BTreeMap<String, String>,
}

/// Why a list cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LeadsError {
    /// It cannot be read at all.
    #[error("the contact list {} cannot be read: {source}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The header lacks a column.
    #[error("the contact list {} has no column `{column}` in its first line; it needs `lead,phone`, and may have more", path.display())]
    Column { path: PathBuf, column: &'static str },
    /// Rows that make no sense, a sentence each.
    #[error("{}\nno contact of this list was taken; mend these rows or take them out", .0.join("\n"))]
    Rows(Vec<String>),
}

/// Reads the whole list; all faulty rows are told at once, with their lines.
pub(crate) fn read(path: &Path) -> Result<Vec<Row>, LeadsError> {
    let unreadable = |source| LeadsError::Unreadable { path: path.into(), source };
    let text = decoded(&std::fs::read(path).map_err(unreadable)?);
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .delimiter(separator(&text))
        .from_reader(text.as_bytes());
    let header = reader.headers().map_err(|why| unreadable(std::io::Error::other(why)))?.clone();
    let column = |column: &'static str, russian: &[&str]| {
        let is = |name: &str| {
            let name = name.to_lowercase();
            name == column || russian.contains(&name.as_str())
        };
        header.iter().position(is).ok_or_else(|| LeadsError::Column { path: path.into(), column })
    };
    let (lead_at, phone_at) = (column("lead", &["контакт", "id"])?, column("phone", &PHONE[1..])?);
    let more: Vec<usize> =
        header.iter().enumerate().filter(|(_, name)| is_further_phone(name)).map(|(at, _)| at).collect();
    let (mut rows, mut faults, mut seen) = (Vec::new(), Vec::new(), BTreeMap::new());
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(fault) => {
                faults.push(format!("{}: {fault}", path.display()));
                continue;
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
        let fields = header.iter().zip(&record).enumerate();
        let fields = fields.filter(|(at, (_, value))| {
            *at != lead_at && *at != phone_at && !more.contains(at) && !value.is_empty()
        });
        let fields = fields.map(|(_, (name, value))| (name.to_owned(), value.to_owned())).collect();
        let mut fault = |why: String| faults.push(format!("{}:{line}: {why}", path.display()));
        let lead = LeadId::new(&record[lead_at]).map_err(|why| fault(format!("lead: {why}")));
        let phone = PhoneNumber::parse(&record[phone_at]).map_err(|why| fault(format!("phone: {why}")));
        let mut phones: Vec<PhoneNumber> = phone.iter().cloned().collect();
        let mut sound = phone.is_ok();
        for at in more.iter().filter(|at| !record[**at].is_empty()) {
            match PhoneNumber::parse(&record[*at]) {
                Ok(phone) => phones.push(phone),
                Err(why) => {
                    fault(format!("{}: {why}", &header[*at]));
                    sound = false;
                }
            }
        }
        let Ok(lead) = lead else { continue };
        if !sound {
            continue;
        }
        if let Some(first) = seen.insert(lead.clone(), line) {
            fault(format!("lead `{lead}` stands in line {first} already"));
            continue;
        }
        rows.push(Row { lead, phones, fields });
    }
    if faults.is_empty() { Ok(rows) } else { Err(LeadsError::Rows(faults)) }
}

/// What a column of numbers is called.
const PHONE: [&str; 3] = ["phone", "телефон", "номер"];

/// `phone2`, `Телефон 3`, …
fn is_further_phone(name: &str) -> bool {
    let name = name.to_lowercase();
    let number = PHONE.iter().find_map(|phone| name.strip_prefix(phone)).map(str::trim);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The text of a file in one of the encodings that spreadsheets write.
fn decoded(bytes: &[u8]) -> String {
    if let Some((encoding, _)) = encoding_rs::Encoding::for_bom(bytes) {
        return encoding.decode(bytes).0.into_owned();
    }
    let line = |line: &[u8]| match std::str::from_utf8(line) {
        Ok(text) => text.to_owned(),
        Err(_) => encoding_rs::WINDOWS_1251.decode_without_bom_handling(line).0.into_owned(),
    };
    bytes.split_inclusive(|byte| *byte == b'\n').map(line).collect()
}

/// What parts the columns: whichever of the usual ones stands most often in the first line.
fn separator(text: &str) -> u8 {
    let header = text.lines().next().unwrap_or_default();
    let mut best = (b',', 0);
    for candidate in [b',', b';', b'\t', b'|'] {
        let count = header.bytes().filter(|byte| *byte == candidate).count();
        if count > best.1 {
            best = (candidate, count);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("leads.csv");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn other_columns_become_fields_of_the_lead() {
        let (_folder, path) =
            list("\u{feff}lead,phone,name\nanna,8 900 000-00-01,Анна\nboris,+79000000002,\n");
        let rows = read(&path).unwrap();
        assert_eq!(rows[0].phones[0].reveal(), "+79000000001");
        assert_eq!(rows[0].fields, BTreeMap::from([("name".into(), "Анна".into())]));
        assert!(rows[1].fields.is_empty());
    }

    #[test]
    fn a_list_is_read_as_spreadsheets_save_it() {
        let utf8 = "Контакт;Телефон;Телефон 2;Имя\nanna;8 900 000-00-01;;Анна, старшая\n";
        let (bytes, _, _) = encoding_rs::WINDOWS_1251.encode(utf8);
        let utf16: Vec<u8> =
            [0xff, 0xfe].into_iter().chain(utf8.encode_utf16().flat_map(u16::to_le_bytes)).collect();
        let mut mixed = utf8.as_bytes().to_vec();
        mixed.extend_from_slice(&encoding_rs::WINDOWS_1251.encode("boris;+79000000002;;Борис\n").0);
        for (bytes, count) in [(utf8.as_bytes(), 1), (&*bytes, 1), (&utf16, 1), (&mixed, 2)] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("leads.csv");
            std::fs::write(&path, bytes).unwrap();
            let rows = read(&path).unwrap();
            assert_eq!(rows.len(), count);
            assert_eq!(rows[0].phones[0].reveal(), "+79000000001");
            assert_eq!(rows[0].fields["Имя"], "Анна, старшая");
            assert!(rows.get(1).is_none_or(|row| row.fields["Имя"] == "Борис"), "{rows:?}");
        }
        for (separator, name) in [('\t', "a,b"), ('|', "x")] {
            let s = separator;
            let (_folder, path) = list(&format!("lead{s}phone{s}name\nanna{s}+79000000001{s}{name}\n"));
            assert_eq!(read(&path).unwrap()[0].fields["name"], name);
        }
    }

    #[test]
    fn a_person_may_have_several_numbers() {
        let (_folder, path) = list("lead,phone,phone2,Phone3\nanna,+79000000001,,8 900 000-00-03\n");
        let rows = read(&path).unwrap();
        let phones: Vec<&str> = rows[0].phones.iter().map(PhoneNumber::reveal).collect();
        assert_eq!(phones, ["+79000000001", "+79000000003"]);
        assert!(rows[0].fields.is_empty());
        let (_folder, path) = list("lead,phone,phone2\nanna,+79000000001,12\n");
        assert!(
            read(&path).unwrap_err().to_string().contains("2: phone2: a phone number has 7 to 15 digits")
        );
    }

    #[test]
    fn every_faulty_row_is_told_with_its_line() {
        let (_folder, path) =
            list("lead,phone\nanna,12\nb.c,+79000000002\nok,+79000000003\nok,+79000000004\n");
        let told = read(&path).unwrap_err().to_string();
        let lines: Vec<_> =
            told.lines().map(|line| line.rsplit_once("leads.csv:").map_or(line, |x| x.1)).collect();
        assert_eq!(
            lines,
            [
                "2: phone: a phone number has 7 to 15 digits, this one has 2",
                "3: lead: an id is made of letters a-z A-Z, digits, `-` and `_`; `.` is none of them",
                "5: lead `ok` stands in line 4 already",
                "no contact of this list was taken; mend these rows or take them out",
            ]
        );
    }

    #[test]
    fn a_list_without_the_columns_says_which_it_needs() {
        let (_folder, path) = list("name;tel\n");
        assert!(read(&path).unwrap_err().to_string().contains("no column `lead`"));
    }
}
