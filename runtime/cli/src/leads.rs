//! The contact lists of the configuration, and how any list is opened: what is in it is `zvonar_lists`' concern.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use zvonar_dialer::{MAX_CARD_BYTES, MAX_FIELD_NAME, MAX_FIELDS, MAX_NUMBERS, MAX_TAG, MAX_TAGS, MAX_TEXT};
use zvonar_lists::{Book, Contacts, CsvRows, Decoded, Entry, Format, Limits, ListError, Mapping, Rows};
use zvonar_model::{LeadId, PhoneNumber};

/// What a contact may hold.
pub(crate) const LIMITS: Limits = Limits {
    numbers: MAX_NUMBERS,
    fields: MAX_FIELDS,
    name_bytes: MAX_FIELD_NAME,
    text_bytes: MAX_TEXT,
    card_bytes: MAX_CARD_BYTES,
    tags: MAX_TAGS,
    tag_bytes: MAX_TAG,
};

/// A row of the list.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) lead: LeadId,
    pub(crate) phones: Vec<PhoneNumber>,
    pub(crate) fields: BTreeMap<String, String>,
    pub(crate) tags: BTreeSet<String>,
}

/// Why a list cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LeadsError {
    /// It cannot be read at all.
    #[error("{}: {source}", path.display())]
    List {
        path: PathBuf,
        #[source]
        source: ListError,
    },
    /// Rows that make no sense, a sentence each.
    #[error("{}\nno contact of this list was taken; mend these rows or take them out", .0.join("\n"))]
    Rows(Vec<String>),
}

/// How a list is to be read where it does not say so itself.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct HowToRead {
    /// The sheet of a workbook; absent: the first.
    #[arg(long, value_name = "NAME")]
    pub(crate) sheet: Option<String>,
    /// The encoding of a CSV file (`cp866`, `koi8-r`, …); absent: found out, for each line by itself.
    #[arg(long, value_name = "NAME", value_parser = encoding)]
    pub(crate) encoding: Option<&'static encoding_rs::Encoding>,
}

fn encoding(name: &str) -> Result<&'static encoding_rs::Encoding, String> {
    let found = encoding_rs::Encoding::for_label(name.as_bytes());
    found.ok_or_else(|| {
        "no encoding is called so: write utf-8, windows-1251, cp866, koi8-r, utf-16le …".into()
    })
}

/// Reads the whole list; all faulty rows are told at once, with their lines.
pub(crate) fn read(path: &Path) -> Result<Vec<Row>, LeadsError> {
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    let read = with_rows(path, &HowToRead::default(), &Arc::default(), |list, _| -> Result<(), ListError> {
        let mut contacts = Contacts::new(list, &Mapping::default(), LIMITS)?;
        while let Some(entry) = contacts.next_entry()? {
            let mut fault = |line: u64, why: &dyn std::fmt::Display| {
                faults.push(format!("{}:{line}: «{why}»", path.display()));
            };
            match entry {
                Entry::Refused(why, row) => fault(row.line, &why),
                Entry::Contact(contact, row) => {
                    contact.left_out.iter().for_each(|why| fault(row.line, why));
                    let zvonar_lists::Contact { lead, numbers: phones, fields, tags, .. } = contact;
                    rows.push(Row { lead, phones, fields, tags });
                }
            }
        }
        Ok(())
    });
    read.map_err(|source| LeadsError::List { path: path.into(), source })?;
    if faults.is_empty() { Ok(rows) } else { Err(LeadsError::Rows(faults)) }
}

/// A file of which is counted how much was read.
struct Counted {
    file: File,
    bytes: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read(into)?;
        self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl Seek for Counted {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.file.seek(to)
    }
}

/// Opens a list: a workbook is known by its first bytes, whatever its name; anything else is CSV. `bytes`: how many were
/// read so far.
pub(crate) fn with_rows<T, E: From<ListError>>(
    path: &Path,
    how: &HowToRead,
    bytes: &Arc<AtomicU64>,
    read: impl FnOnce(&mut dyn Rows, Format) -> Result<T, E>,
) -> Result<T, E> {
    let unreadable = |why: std::io::Error| E::from(ListError::from(why));
    let file = Counted { file: File::open(path).map_err(unreadable)?, bytes: Arc::clone(bytes) };
    let mut file = BufReader::with_capacity(64 << 10, file);
    let mut first = Vec::new();
    file.by_ref().take(4).read_to_end(&mut first).map_err(unreadable)?;
    if first == b"PK\x03\x04" {
        file.rewind().map_err(unreadable)?;
        let mut book = Book::open(file, how.sheet.as_deref())?;
        let mut rows = book.rows()?;
        return read(&mut rows, Format::Xlsx);
    }
    // A pipe cannot be rewound; what was read of it comes first again.
    let whole = std::io::Cursor::new(first).chain(file);
    let text = match how.encoding {
        Some(encoding) => Decoded::as_encoded(whole, encoding),
        None => Decoded::new(whole),
    };
    let mut rows = CsvRows::new(text)?;
    let format = Format::Csv { separator: rows.separator() };
    read(&mut rows, format)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(name: &str, bytes: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    #[test]
    fn every_faulty_row_of_a_configured_list_is_told_with_its_line() {
        let (_folder, path) = list(
            "leads.csv",
            "lead,phone\nanna,12\nb.c,+79000000002\nok,+79000000003\nok,+79000000004\nvera,\"+79000000005, 12\"\n",
        );
        let told = read(&path).unwrap_err().to_string();
        let lines: Vec<_> =
            told.lines().map(|line| line.rsplit_once("leads.csv:").map_or(line, |x| x.1)).collect();
        assert_eq!(
            lines,
            [
                "2: «Не номер телефона: цифр 2, а бывает от 7 до 15»",
                "3: «Негодный ID: в нём «.», а можно латинские буквы, цифры, - и _»",
                "5: «ID уже есть в списке: строка 4»",
                "6: «Добавочный номер: робот его не набирает»",
                "no contact of this list was taken; mend these rows or take them out",
            ]
        );
    }

    #[test]
    fn a_list_without_the_columns_says_which_it_needs() {
        let (_folder, path) = list("leads.csv", "name;tel1\n");
        let why = read(&path).unwrap_err().to_string();
        assert!(why.contains("leads.csv: no column of the list is called `phone`"), "{why}");
        let why = read(Path::new("/nowhere/leads.csv")).unwrap_err().to_string();
        assert!(why.contains("/nowhere/leads.csv: the list cannot be read"), "{why}");
    }

    #[test]
    fn a_workbook_is_known_by_its_bytes() {
        let header = ["Телефон", "Имя"].map(String::from);
        let mut writer = zvonar_lists::TableWriter::new(Vec::new(), Format::Xlsx, &header).unwrap();
        writer.row(&["8 900 000-00-01".into(), "Анна".into()]).unwrap();
        let (_folder, path) = list("leads.csv", writer.finish().unwrap());
        let rows = read(&path).unwrap();
        assert_eq!(rows[0].phones[0].reveal(), "+79000000001");
        assert_eq!(rows[0].fields["Имя"], "Анна");
    }
}
