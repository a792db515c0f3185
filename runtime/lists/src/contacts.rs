//! Contacts out of rows.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::BuildHasher;

use zvonar_model::{LeadId, PhoneNumber};

use crate::header::ZONE_FIELD;
use crate::{Column, ListError, Mapping, Refusal, Role, Row, Rows, lead_id, numbers, table, zone};

/// What a contact may hold: the limits of whoever keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Numbers.
    pub numbers: usize,
    /// Fields.
    pub fields: usize,
    /// Bytes of a field's name.
    pub name_bytes: usize,
    /// Bytes of a field.
    pub text_bytes: usize,
    /// Bytes of all fields as JSON.
    pub card_bytes: usize,
    /// Tags.
    pub tags: usize,
    /// Bytes of a tag.
    pub tag_bytes: usize,
}

/// A person of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// The id, as the list has it or made from the first number.
    pub lead: LeadId,
    /// Whether it was made.
    pub made: bool,
    /// At least one, each once.
    pub numbers: Vec<PhoneNumber>,
    /// What the other columns say; empty cells say nothing.
    pub fields: BTreeMap<String, String>,
    /// The tags.
    pub tags: BTreeSet<String>,
    /// Why numbers of the row were left out.
    pub left_out: Vec<Refusal>,
}

/// What a row came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Somebody to call. The row goes with him: he may be refused by those who know more.
    Contact(Contact, Row),
    /// Nobody.
    Refused(Refusal, Row),
}

/// How many rows there were besides contacts and refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// All rows, the header and empty ones among them.
    pub rows: u64,
    /// Rows without anything.
    pub empty: u64,
    /// Rows that repeat the header: lists are put together from several.
    pub headers: u64,
}

/// Reads rows as contacts.
pub struct Contacts<R> {
    rows: R,
    columns: Vec<Column>,
    header: Vec<String>,
    /// The first row, when it is no header.
    first: Option<Row>,
    limits: Limits,
    counts: Counts,
    warnings: Vec<String>,
    /// The lines of ids, by their hashes. Two of a million ids have the same once in 40 million lists.
    seen: HashMap<u64, u32>,
    hasher: RandomState,
}

impl<R: Rows> Contacts<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// When the list is empty, or its columns are not understood.
    pub fn new(mut rows: R, mapping: &Mapping, limits: Limits) -> Result<Self, ListError> {
        let mut counts = Counts::default();
        let mut first = loop {
            let row = rows.next_row()?.ok_or(ListError::Empty)?;
            counts.rows += 1;
            if !row.is_empty() {
                break row;
            }
            counts.empty += 1;
        };
        // Sheets often have more columns with a frame than with a name.
        if !mapping.no_header {
            while first.cells.last().is_some_and(String::is_empty) {
                first.cells.pop();
            }
        }
        let mut columns = mapping.columns(&first)?;
        let warnings = fit(&mut columns, limits);
        let header = if mapping.no_header {
            columns.iter().map(|column| column.name.clone()).collect()
        } else {
            first.cells.clone()
        };
        let first = mapping.no_header.then_some(first);
        Ok(Self {
            rows,
            columns,
            header,
            first,
            limits,
            counts,
            warnings,
            seen: HashMap::new(),
            hasher: RandomState::new(),
        })
    }

    /// What the columns are.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The names of the columns as they stand in the list.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// What the person who imports should know: a sentence each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// How many rows were read so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The next contact or refusal; `None`: that was the last.
    ///
    /// # Errors
    /// When the file cannot be read on.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, ListError> {
        loop {
            let row = match self.first.take() {
                Some(first) => first,
                None => match self.rows.next_row()? {
                    None => return Ok(None),
                    Some(row) => {
                        self.counts.rows += 1;
                        row
                    }
                },
            };
            if row.is_empty() {
                self.counts.empty += 1;
            } else if self.is_header(&row) {
                self.counts.headers += 1;
            } else {
                return Ok(Some(match self.contact(&row) {
                    Ok(contact) => Entry::Contact(contact, row),
                    Err(why) => Entry::Refused(why, row),
                }));
            }
        }
    }

    fn is_header(&self, row: &Row) -> bool {
        row.fault.is_none()
            && row.cells.iter().take(self.header.len()).eq(&self.header)
            && row.cells[self.header.len()..].iter().all(String::is_empty)
    }

    fn contact(&mut self, row: &Row) -> Result<Contact, Refusal> {
        if let Some(fault) = &row.fault {
            return Err(fault.clone());
        }
        if row.cells.iter().skip(self.columns.len()).any(|cell| !cell.is_empty()) {
            return Err(Refusal::MoreCells { columns: self.columns.len() });
        }
        let mut lead = None;
        let mut contact = Contact {
            lead: LeadId::new("x").expect("a letter is an id"),
            made: false,
            numbers: Vec::new(),
            fields: BTreeMap::new(),
            tags: BTreeSet::new(),
            left_out: Vec::new(),
        };
        for (column, cell) in self.columns.iter().zip(&row.cells) {
            let cell = table::bare(cell);
            if cell.is_empty() {
                continue;
            }
            match &column.role {
                Role::Ignored => {}
                Role::Lead => lead = Some(LeadId::new(cell)?),
                Role::Phone => {
                    let found = numbers(cell);
                    contact.numbers.extend(found.numbers);
                    contact.left_out.extend(found.refused);
                }
                Role::Tags => {
                    let tags = cell.split([',', ';', '|', '\n']).map(str::trim);
                    contact.tags.extend(tags.filter(|tag| !tag.is_empty()).map(str::to_owned));
                }
                Role::Field(name) => {
                    let value = if name == ZONE_FIELD {
                        zone(cell).ok_or_else(|| Refusal::Zone(cell.chars().take(40).collect()))?
                    } else {
                        cell.to_owned()
                    };
                    contact.fields.insert(name.clone(), value);
                }
            }
        }
        let mut once = BTreeSet::new();
        contact.numbers.retain(|number| once.insert(number.clone()));
        let Some(first) = contact.numbers.first() else {
            return Err(contact.left_out.into_iter().next().unwrap_or(Refusal::NoNumber));
        };
        contact.made = lead.is_none();
        contact.lead = lead.unwrap_or_else(|| lead_id(first));
        self.check(&contact)?;
        if !contact.made {
            let line = u32::try_from(row.line).unwrap_or(u32::MAX);
            let hash = self.hasher.hash_one(contact.lead.as_str());
            if let Some(line) = self.seen.get(&hash) {
                return Err(Refusal::SameId { line: u64::from(*line) });
            }
            self.seen.insert(hash, line);
        }
        Ok(contact)
    }

    /// Whether it is small enough.
    fn check(&self, contact: &Contact) -> Result<(), Refusal> {
        let Limits { numbers, fields, text_bytes, card_bytes, tags, tag_bytes, .. } = self.limits;
        if contact.numbers.len() > numbers {
            return Err(Refusal::TooManyNumbers { numbers: contact.numbers.len(), most: numbers });
        }
        if contact.fields.len() > fields {
            return Err(Refusal::TooManyFields { fields: contact.fields.len(), most: fields });
        }
        if contact.tags.len() > tags {
            return Err(Refusal::TooManyTags { most: tags });
        }
        let long = |what: &str, most| {
            Err(Refusal::TooLong { what: format!("«{}»", what.chars().take(40).collect::<String>()), most })
        };
        if let Some(tag) = contact.tags.iter().find(|tag| tag.len() > tag_bytes) {
            return long(tag, tag_bytes);
        }
        if let Some((name, _)) = contact.fields.iter().find(|(_, value)| value.len() > text_bytes) {
            return long(name, text_bytes);
        }
        if json_bytes(&contact.fields) > card_bytes {
            return Err(Refusal::TooLong { what: "все поля вместе".into(), most: card_bytes });
        }
        Ok(())
    }
}

/// Leaves out what a contact cannot hold, and says so once instead of refusing every row.
fn fit(columns: &mut [Column], limits: Limits) -> Vec<String> {
    let mut fields = 0;
    let (mut many, mut long) = (Vec::new(), Vec::new());
    for Column { name, role } in columns {
        let Role::Field(field) = role else { continue };
        if field.len() > limits.name_bytes {
            long.push(format!("`{}…`", field.chars().take(20).collect::<String>()));
        } else if fields == limits.fields {
            many.push(format!("`{name}`"));
        } else {
            fields += 1;
            continue;
        }
        *role = Role::Ignored;
    }
    let mut told = Vec::new();
    if !many.is_empty() {
        let more = if many.len() > 5 { ", …" } else { "" };
        told.push(format!(
            "a contact has at most {} fields, so {} columns are left out: {}{more}; choose others to leave out with --map -=COLUMN",
            limits.fields,
            many.len(),
            many[..many.len().min(5)].join(", ")
        ));
    }
    if !long.is_empty() {
        told.push(format!(
            "the name of a field has at most {} bytes, so these columns are left out: {}; shorten them with --map NAME=#NUMBER",
            limits.name_bytes,
            long.join(", ")
        ));
    }
    told
}

/// What fields weigh as JSON.
fn json_bytes(fields: &BTreeMap<String, String>) -> usize {
    let text = |text: &str| -> usize {
        let bytes = text.bytes().map(|byte| match byte {
            b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 8 | 12 => 2,
            0..0x20 => 6,
            _ => 1,
        });
        bytes.sum::<usize>() + 2
    };
    let pairs: usize = fields.iter().map(|(name, value)| text(name) + text(value) + 2).sum();
    pairs + 2 - usize::from(!fields.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CsvRows, Decoded};

    pub(crate) const LIMITS: Limits = Limits {
        numbers: 50,
        fields: 48,
        name_bytes: 64,
        text_bytes: 4096,
        card_bytes: 192 << 10,
        tags: 20,
        tag_bytes: 64,
    };

    fn open(text: &[u8]) -> Result<Contacts<CsvRows<Decoded<&[u8]>>>, ListError> {
        Contacts::new(CsvRows::new(Decoded::new(text))?, &Mapping::default(), LIMITS)
    }

    fn read(text: impl AsRef<[u8]>) -> (Vec<Contact>, Vec<(u64, Refusal)>, Counts) {
        let mut contacts = open(text.as_ref()).unwrap();
        let (mut good, mut refused) = (Vec::new(), Vec::new());
        while let Some(entry) = contacts.next_entry().unwrap() {
            match entry {
                Entry::Contact(contact, _) => good.push(contact),
                Entry::Refused(why, row) => refused.push((row.line, why)),
            }
        }
        (good, refused, contacts.counts())
    }

    #[test]
    fn other_columns_become_fields_of_the_lead() {
        let (rows, refused, _) =
            read("\u{feff}lead,phone,name\nanna,8 900 000-00-01,Анна\nboris,+79000000002,\n");
        assert_eq!(rows[0].numbers[0].reveal(), "+79000000001");
        assert_eq!(rows[0].fields, BTreeMap::from([("name".into(), "Анна".into())]));
        assert!(rows[1].fields.is_empty() && refused.is_empty());
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
            let (rows, ..) = read(bytes);
            assert_eq!(rows.len(), count);
            assert_eq!(rows[0].numbers[0].reveal(), "+79000000001");
            assert_eq!(rows[0].fields["Имя"], "Анна, старшая");
            assert!(rows.get(1).is_none_or(|row| row.fields["Имя"] == "Борис"), "{rows:?}");
        }
        for (separator, name) in [('\t', "a,b"), ('|', "x")] {
            let s = separator;
            let (rows, ..) = read(format!("lead{s}phone{s}name\nanna{s}+79000000001{s}{name}\n"));
            assert_eq!(rows[0].fields["name"], name);
        }
    }

    #[test]
    fn a_person_may_have_several_numbers() {
        let (rows, ..) = read("lead,phone,phone2,Phone3\nanna,+79000000001,,8 900 000-00-03\n");
        let phones: Vec<&str> = rows[0].numbers.iter().map(PhoneNumber::reveal).collect();
        assert_eq!(phones, ["+79000000001", "+79000000003"]);
        assert!(rows[0].fields.is_empty());
        let (rows, refused, _) = read("lead,phone,phone2\nanna,+79000000001,12\nboris,12,\nvera,,\n");
        let why = "Не номер телефона: цифр 2, а бывает от 7 до 15";
        assert_eq!(rows[0].left_out[0].to_string(), why);
        assert_eq!((refused[0].0, &*refused[0].1.to_string()), (3, why));
        assert_eq!(refused[1], (4, Refusal::NoNumber));

        let many = |count: usize| (0..count).map(|n| format!("8900000{n:04}")).collect::<Vec<_>>().join("; ");
        let (rows, refused, _) = read(format!("phone,x\n\"{}\",\n\"{}\",\n", many(50), many(51)));
        assert_eq!(rows[0].numbers.len(), 50);
        assert_eq!(refused, [(3, Refusal::TooManyNumbers { numbers: 51, most: 50 })]);
    }

    #[test]
    fn every_faulty_row_is_told_with_its_line_and_the_others_are_taken() {
        let (rows, refused, counts) = read(
            "lead,phone,tz\nanna,12,\nb.c,+79000000002,\n\nok,+79000000003,МСК+2\n;,,\nok,+79000000004,\n\
             lead,phone,tz\nvera,+79000000005,Нигде\ngleb,+79000000006,,лишнее\ndina,+79000000007\n",
        );
        let told: Vec<_> = refused.iter().map(|(line, why)| format!("{line}: {why}")).collect();
        assert_eq!(
            told,
            [
                "2: Не номер телефона: цифр 2, а бывает от 7 до 15",
                "3: Негодный ID: в нём «.», а можно латинские буквы, цифры, - и _",
                "6: Негодный ID: в нём «;», а можно латинские буквы, цифры, - и _",
                "7: ID уже есть в списке: строка 5",
                "9: Неизвестный часовой пояс: «Нигде»",
                "10: Лишние ячейки: в заголовке столбцов 3",
            ]
        );
        let ids: Vec<&str> = rows.iter().map(|row| row.lead.as_str()).collect();
        assert_eq!(ids, ["ok", "dina"]);
        assert_eq!(rows[0].fields["tz"], "Etc/GMT-5");
        assert_eq!(counts, Counts { rows: 11, empty: 1, headers: 1 });
    }

    #[test]
    fn a_list_without_ids_has_them_made_from_the_numbers() {
        let (rows, ..) = read("Телефон;Теги\n8 900 000-00-01;vip, Москва;\n+79000000002;\n");
        assert!(rows.iter().all(|row| row.made));
        assert_eq!(rows[0].lead, lead_id(&rows[0].numbers[0]));
        assert_ne!(rows[0].lead, rows[1].lead);
        assert_eq!(rows[0].tags, BTreeSet::from(["vip".into(), "Москва".into()]));
    }

    /// Two hundred columns used to be two hundred fields, which no lead has room for.
    #[test]
    fn columns_that_a_contact_has_no_room_for_are_told_once() {
        let names: Vec<String> = (0..200).map(|n| format!("c{n}")).collect();
        let list = format!("phone;{}\n89000000001;{}\n", names.join(";"), names.join(";"));
        let mut contacts = open(list.as_bytes()).unwrap();
        assert_eq!(contacts.warnings().len(), 1);
        assert!(
            contacts.warnings()[0].contains("152 columns are left out: `c48`, `c49`"),
            "{:?}",
            contacts.warnings()
        );
        let Some(Entry::Contact(contact, _)) = contacts.next_entry().unwrap() else { panic!("it is one") };
        assert_eq!(contact.fields.len(), 48);
    }

    #[test]
    fn a_list_that_cannot_be_used_says_so_at_once() {
        assert!(matches!(open(b"").err(), Some(ListError::Empty)));
        assert!(matches!(open(b"\n\n;;\n").err(), Some(ListError::Empty | ListError::NoPhone { .. })));
        assert!(matches!(open(b"name;tel1\n").err(), Some(ListError::NoPhone { .. })));
    }

    #[test]
    fn a_card_is_weighed_as_it_is_kept() {
        let text = "Анна \"А\"\n\t\u{1}\\";
        let fields = BTreeMap::from([("имя".to_owned(), text.to_owned()), ("b".into(), String::new())]);
        // {"b":"","имя":"Анна \"А\"\n\t\u0001\\"}
        assert_eq!(json_bytes(&fields), r#"{"b":"","имя":"Анна \"А\"\n\t\u0001\\"}"#.len());
        assert_eq!(json_bytes(&BTreeMap::new()), 2);
    }
}
