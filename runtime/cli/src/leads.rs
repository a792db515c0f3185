//! Reads a contact list: a CSV file with the columns `lead` and `phone`, further numbers in `phone2`, `phone3` and so on,
//! and any other columns as the lead's fields.

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
        source: csv::Error,
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
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(unreadable)?;
    let header = reader.headers().map_err(unreadable)?.clone();
    let column = |column: &'static str| {
        let found =
            header.iter().position(|name| name.trim_start_matches('\u{feff}').eq_ignore_ascii_case(column));
        found.ok_or_else(|| LeadsError::Column { path: path.into(), column })
    };
    let (lead_at, phone_at) = (column("lead")?, column("phone")?);
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

/// `phone2`, `phone3`, …
fn is_further_phone(name: &str) -> bool {
    let number =
        name.get(..5).filter(|start| start.eq_ignore_ascii_case("phone")).and_then(|_| name.get(5..));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
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
