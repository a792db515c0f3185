//! Reading a model of CTranslate2, the form in which faster-whisper and many fine-tunes come.

use std::collections::BTreeMap;

use super::half::widened;

/// How the numbers of a tensor are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    F32,
    I8,
    F16,
}

/// A tensor where it lies in the file.
#[derive(Debug, Clone)]
pub(crate) struct Tensor<'f> {
    pub(crate) shape: Vec<usize>,
    pub(crate) kind: Kind,
    pub(crate) bytes: &'f [u8],
}

impl Tensor<'_> {
    /// Its numbers, in the order of the file.
    pub(crate) fn numbers(&self) -> Vec<f32> {
        match self.kind {
            Kind::F32 => self.bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect(),
            Kind::F16 => {
                self.bytes.as_chunks().0.iter().map(|two| widened(u16::from_le_bytes(*two))).collect()
            }
            Kind::I8 => self.bytes.iter().map(|byte| f32::from(*byte as i8)).collect(),
        }
    }
}

/// The tensors of a file, by name. The error is a clause about the file.
pub(crate) fn read(file: &[u8]) -> Result<BTreeMap<String, Tensor<'_>>, String> {
    let mut reader = Reader { file, at: 0, last: String::new() };
    let version = reader.u32()?;
    // The name of the model's class comes next; whatever is no such file has no sensible length there.
    let spec = if (1..=20).contains(&version) { reader.text()? } else { String::new() };
    if spec != "WhisperSpec" {
        return Err("is no Whisper model of CTranslate2".into());
    }
    if version < 5 {
        return Err(format!("is of CTranslate2's format {version}; 5 and newer can be read"));
    }
    reader.u32()?;
    let count = reader.u32()?;
    let mut tensors = BTreeMap::new();
    for _ in 0..count {
        let name = reader.text()?;
        reader.last.clone_from(&name);
        let rank = reader.take(1)?[0];
        let shape =
            (0..rank).map(|_| reader.u32().map(|size| size as usize)).collect::<Result<Vec<_>, _>>()?;
        let (kind, size) = match reader.take(1)?[0] {
            0 => (Some(Kind::F32), 4),
            1 => (Some(Kind::I8), 1),
            2 => (None, 2),
            3 => (None, 4),
            4 => (Some(Kind::F16), 2),
            other => return Err(format!("has numbers of an unknown kind ({other}) in {name}")),
        };
        let length = reader.u32()? as usize;
        let bytes = reader.take(length)?;
        let promised = shape.iter().try_fold(size, |all: usize, side| all.checked_mul(*side));
        if promised != Some(length) {
            return Err(format!("has {length} bytes in {name}, which is not what its shape {shape:?} holds"));
        }
        if let Some(kind) = kind {
            tensors.insert(name, Tensor { shape, kind, bytes });
        }
    }
    for _ in 0..reader.u32()? {
        let (alias, name) = (reader.text()?, reader.text()?);
        let tensor = tensors.get(&name).ok_or_else(|| format!("names {name}, which is not in it"))?.clone();
        tensors.insert(alias, tensor);
    }
    if reader.at != file.len() {
        return Err(format!("has {} bytes behind its end", file.len() - reader.at));
    }
    Ok(tensors)
}

struct Reader<'f> {
    file: &'f [u8],
    at: usize,
    last: String,
}

impl<'f> Reader<'f> {
    fn take(&mut self, count: usize) -> Result<&'f [u8], String> {
        let bytes = self.at.checked_add(count).and_then(|end| self.file.get(self.at..end));
        let bytes = bytes.ok_or_else(|| match self.last.as_str() {
            "" => "is cut short at its begin".to_owned(),
            last => format!("is cut short at {last}"),
        })?;
        self.at += count;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.take(4).map(|bytes| u32::from_le_bytes(bytes.try_into().expect("four bytes")))
    }

    /// A text with its length before it and a zero behind.
    fn text(&mut self) -> Result<String, String> {
        let length = self.take(2).map(|bytes| usize::from(u16::from_le_bytes([bytes[0], bytes[1]])))?;
        let bytes = self.take(length)?;
        let bytes = bytes.strip_suffix(&[0]).ok_or("has a name that does not end")?;
        String::from_utf8(bytes.to_vec()).map_err(|_| "has a name that is no text".into())
    }
}
