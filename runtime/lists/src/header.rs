//! What the columns of a list are.

use crate::{ListError, Row};

/// What a column is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// The lead's id.
    Lead,
    /// Numbers, in the order of the columns.
    Phone,
    /// Tags.
    Tags,
    /// A field of the lead, by this name.
    Field(String),
    /// Nothing.
    Ignored,
}

/// A column of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// As the list calls it.
    pub name: String,
    /// What it is for.
    pub role: Role,
}

/// What the person who imports has said about the columns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mapping {
    /// The first row is a contact already; columns are called `1`, `2`, `3` then.
    pub no_header: bool,
    /// Role and name of a column.
    entries: Vec<(Role, String)>,
}

/// What the column with leads' ids may be called, the surest name first.
const LEAD: [&str; 5] = ["lead", "lead id", "id", "ид", "контакт"];
const PHONE: [&str; 10] = [
    "phone",
    "телефон",
    "номер",
    "номер телефона",
    "телефонный номер",
    "мобильный телефон",
    "мобильный",
    "phone number",
    "mobile",
    "тел",
];
const TAGS: [&str; 6] = ["tags", "tag", "теги", "тег", "метки", "метка"];
const ZONE: [&str; 5] = ["tz", "timezone", "time zone", "часовой пояс", "таймзона"];
const REGION: [&str; 2] = ["region", "регион"];

/// The columns of a table of refused rows: they are passed over when it is read again.
pub(crate) const REFUSED: [&str; 2] = ["Строка", "Причина"];

/// The field that names the zone of a lead.
pub(crate) const ZONE_FIELD: &str = "tz";

/// How a name is compared: `Моб. Телефон*` is `моб. телефон`.
fn plain(name: &str) -> String {
    let name = name.to_lowercase().replace('ё', "е").replace('_', " ");
    name.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches([':', '*', '.', ' ']).to_owned()
}

/// `phone`, `phone2`, `Телефон 3`, …
fn is_phone(name: &str) -> bool {
    let rest = PHONE.iter().filter_map(|phone| name.strip_prefix(phone)).map(str::trim);
    rest.map(|rest| rest.trim_start_matches('№')).any(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What a column is by its name alone. Leads' ids are chosen among all columns.
fn known(name: &str) -> Option<Role> {
    let name = plain(name);
    let is = |names: &[&str]| names.contains(&&*name);
    if is_phone(&name) {
        Some(Role::Phone)
    } else if is(&TAGS) {
        Some(Role::Tags)
    } else if is(&ZONE) {
        Some(Role::Field(ZONE_FIELD.into()))
    } else if is(&REGION) {
        Some(Role::Field("region".into()))
    } else {
        None
    }
}

impl Mapping {
    /// Nothing is said yet. `no_header`: the first row is a contact already.
    pub fn new(no_header: bool) -> Self {
        Self { no_header, entries: Vec::new() }
    }

    /// Adds `phone=Моб. тел.`, `lead=ID`, `tags=Группа`, `tz=Пояс`, `город=City` or `-=Ненужный`. A column may be named
    /// by its place as well: `phone=#2`.
    ///
    /// # Errors
    /// [`ListError::Mapping`].
    pub fn add(&mut self, entry: &str) -> Result<(), ListError> {
        let (role, column) = entry.split_once('=').ok_or_else(|| {
            ListError::Mapping(format!(
                "`{entry}` is none: write it as phone=COLUMN, lead=COLUMN, FIELD=COLUMN or -=COLUMN"
            ))
        })?;
        let (role, column) = (role.trim(), column.trim());
        if role.is_empty() || column.is_empty() {
            return Err(ListError::Mapping(format!("`{entry}` lacks a side: write it as phone=COLUMN")));
        }
        let name = plain(role);
        let role = if role == "-" {
            Role::Ignored
        } else if LEAD.contains(&&*name) {
            Role::Lead
        } else {
            known(role).unwrap_or_else(|| Role::Field(role.to_owned()))
        };
        self.entries.push((role, column.to_owned()));
        Ok(())
    }

    /// What the columns are, by the first row of the list.
    ///
    /// # Errors
    /// [`ListError::NoPhone`], [`ListError::NoColumn`], [`ListError::Twice`].
    pub(crate) fn columns(&self, first: &Row) -> Result<Vec<Column>, ListError> {
        let names: Vec<String> = if self.no_header {
            (1..=first.cells.len()).map(|place| place.to_string()).collect()
        } else {
            first.cells.clone()
        };
        let there = || names.iter().filter(|name| !name.is_empty()).map(|name| format!("`{name}`")).collect();
        let mut roles: Vec<Option<Role>> = vec![None; names.len()];
        for (role, wanted) in &self.entries {
            let by_place = wanted.strip_prefix('#').and_then(|place| place.parse::<usize>().ok());
            let by_place = by_place.and_then(|place| place.checked_sub(1)).filter(|at| *at < names.len());
            let exact = names.iter().position(|name| name == wanted);
            let like = || names.iter().position(|name| plain(name) == plain(wanted));
            let at = exact.or_else(like).or(by_place);
            let at = at.ok_or_else(|| ListError::NoColumn { wanted: wanted.clone(), there: there() })?;
            roles[at] = Some(role.clone());
        }
        if !self.no_header {
            if let [.., line, why] = &names[..]
                && [&**line, &**why] == REFUSED
            {
                for role in roles.iter_mut().rev().take(2) {
                    role.get_or_insert(Role::Ignored);
                }
            }
            for (role, name) in roles.iter_mut().zip(&names).filter(|(role, _)| role.is_none()) {
                *role = known(name);
            }
            if !roles.contains(&Some(Role::Lead)) {
                let place = |lead: &str| {
                    roles.iter().zip(&names).position(|(role, name)| role.is_none() && plain(name) == lead)
                };
                if let Some(at) = LEAD.iter().find_map(|lead| place(lead)) {
                    roles[at] = Some(Role::Lead);
                }
            }
        }
        let mut leads = roles.iter().zip(&names).filter(|(role, _)| **role == Some(Role::Lead));
        if let (Some((_, one)), Some((_, other))) = (leads.next(), leads.next()) {
            return Err(ListError::Twice { role: "id", one: one.clone(), other: other.clone() });
        }
        if !roles.contains(&Some(Role::Phone)) {
            let is_number = |cell: &String| !crate::numbers(cell).numbers.is_empty();
            let looks_like_data = !self.no_header && first.cells.iter().any(is_number);
            let there = if looks_like_data { Vec::new() } else { there() };
            return Err(ListError::NoPhone { there, looks_like_data });
        }
        let mut columns: Vec<Column> = Vec::with_capacity(names.len());
        for (place, (role, name)) in roles.into_iter().zip(names).enumerate() {
            let role = role.unwrap_or_else(|| {
                let name =
                    if name.is_empty() { format!("Столбец {}", place + 1) } else { name.clone() };
                Role::Field(free(&columns, &name))
            });
            columns.push(Column { name, role });
        }
        Ok(columns)
    }
}

/// The name, or `Имя 2` if another column has it.
fn free(columns: &[Column], name: &str) -> String {
    let taken =
        |name: &str| columns.iter().any(|column| matches!(&column.role, Role::Field(field) if field == name));
    let mut free = name.to_owned();
    let mut count = 2;
    while taken(&free) {
        free = format!("{name} {count}");
        count += 1;
    }
    free
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(names: &[&str], mapping: &[&str]) -> Result<Vec<Role>, String> {
        let mut map = Mapping::default();
        for entry in mapping {
            map.add(entry).map_err(|why| why.to_string())?;
        }
        let row = Row { line: 1, cells: names.iter().map(|name| (*name).to_owned()).collect(), fault: None };
        let columns = map.columns(&row).map_err(|why| why.to_string())?;
        Ok(columns.into_iter().map(|column| column.role).collect())
    }

    fn field(name: &str) -> Role {
        Role::Field(name.into())
    }

    #[test]
    fn columns_are_known_by_their_usual_names() {
        use Role::*;
        for (names, expected) in [
            (vec!["lead", "phone", "name"], vec![Lead, Phone, field("name")]),
            (vec!["Контакт", "Телефон", "Телефон 2", "Имя"], vec![Lead, Phone, Phone, field("Имя")]),
            (vec!["ID", "Контакт", "Номер телефона*"], vec![Lead, field("Контакт"), Phone]),
            (vec!["phone", "phone2", "Phone3", "Телефон №4"], vec![Phone, Phone, Phone, Phone]),
            (
                vec!["Номер", "Теги", "Часовой пояс", "Регион"],
                vec![Phone, Tags, field("tz"), field("region")],
            ),
            (
                vec!["Телефон", "Имя", "Имя", "", ""],
                vec![Phone, field("Имя"), field("Имя 2"), field("Столбец 4"), field("Столбец 5")],
            ),
            (vec!["Телефон", "Номер договора"], vec![Phone, field("Номер договора")]),
            (vec!["phone", "Строка", "Причина"], vec![Phone, Ignored, Ignored]),
            (vec!["phone", "Причина"], vec![Phone, field("Причина")]),
        ] {
            assert_eq!(columns(&names, &[]), Ok(expected), "{names:?}");
        }
    }

    #[test]
    fn what_a_person_says_about_columns_comes_first() {
        use Role::*;
        let names = ["ID", "ФИО", "Моб. тел.", "Телефон", "Пояс", "Лишнее"];
        let map = ["phone=Моб. тел.", "lead=#1", "name=фио", "-=Телефон", "tz=Пояс", "-=#6"];
        let expected = vec![Lead, field("name"), Phone, Ignored, field("tz"), Ignored];
        assert_eq!(columns(&names, &map), Ok(expected));
        assert_eq!(columns(&["ID", "phone"], &["-=ID"]), Ok(vec![Ignored, Phone]));
        let mut map = Mapping::new(true);
        map.add("phone=2").unwrap();
        map.add("имя=#1").unwrap();
        let row = Row { line: 1, cells: vec!["Анна".into(), "89161234567".into()], fault: None };
        let told: Vec<Role> = map.columns(&row).unwrap().into_iter().map(|column| column.role).collect();
        assert_eq!(told, [field("имя"), Phone]);
    }

    #[test]
    fn columns_that_cannot_be_are_told_with_what_to_do() {
        for (names, map, says) in [
            (vec!["name", "tel"], vec![], "no column of the list is called `phone`"),
            (vec!["name", "tel"], vec![], "it has: `name`, `tel`. Say which it is with --map phone=NAME"),
            (vec!["anna", "89161234567"], vec![], "--no-header --map phone=NUMBER"),
            (vec!["phone"], vec!["lead=ID"], "no column `ID`, which --map names; it has: `phone`"),
            (vec!["phone"], vec!["ID"], "phone=COLUMN"),
            (vec!["phone"], vec!["=ID"], "lacks a side"),
            (vec!["phone", "a", "b"], vec!["lead=a", "lead=b"], "both `a` and `b` would be the id"),
        ] {
            let why = columns(&names, &map).unwrap_err();
            assert!(why.contains(says), "{names:?} {map:?}: {why}");
        }
        let looks = columns(&["anna", "89161234567"], &[]).unwrap_err();
        assert!(!looks.contains("89161234567"), "no number goes to a screen: {looks}");
    }
}
