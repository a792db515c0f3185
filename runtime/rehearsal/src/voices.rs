//! What the callees of the farm say: the clips that come with it, and answers of the user's own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use zvonar_media::{Clip, ClipError, Part, Prompt};

use crate::behaviour::Saying;

/// The voices of the callees, ready to play.
#[derive(Debug)]
pub struct Voices {
    pub(crate) hello: Prompt,
    pub(crate) mailbox: Prompt,
    sayings: BTreeMap<Saying, Prompt>,
    /// By the last digits of the number.
    own: BTreeMap<String, Prompt>,
}

/// Why the farm has no voice.
#[derive(Debug, thiserror::Error)]
pub enum VoicesError {
    /// A sound cannot be played.
    #[error(transparent)]
    Clip(#[from] ClipError),
    /// The folder of answers cannot be read.
    #[error("the folder of answers {folder} cannot be read: {source}")]
    Unreadable {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file whose name says nobody who should say it.
    #[error(
        "nobody would say {file}: name it after the last digits of the numbers whose callees say it, as 21.wav"
    )]
    Name {
        /// The file.
        file: PathBuf,
    },
    /// A folder without answers.
    #[error(
        "the folder of answers {folder} has no file as 21.wav, which callees say whose number ends in 21"
    )]
    Empty {
        /// The folder.
        folder: PathBuf,
    },
}

impl Voices {
    /// Encodes the clips that come with the farm (`assets/README.md` names their makers).
    ///
    /// # Errors
    ///
    /// One of them is no sound.
    pub fn load() -> Result<Self, VoicesError> {
        macro_rules! clip {
            ($name:literal) => {
                Clip::from_wav(include_bytes!(concat!("../assets/", $name)), Path::new($name))
                    .map(|clip| Part::Clip(Arc::new(clip)))
            };
        }
        let mailbox = [
            clip!("vm-theperson.wav")?,
            clip!("vm-isunavail.wav")?,
            clip!("vm-intro.wav")?,
            clip!("beep.wav")?,
        ];
        let say = |saying| {
            let part = match saying {
                Saying::Yes => clip!("yes.wav"),
                Saying::No => clip!("no.wav"),
                Saying::Later => clip!("later.wav"),
                Saying::Operator => clip!("operator.wav"),
                Saying::Stop => clip!("stop.wav"),
                Saying::Story => clip!("story.wav"),
                Saying::Cough => clip!("cough.wav"),
            };
            Ok((saying, Prompt::new([part?])))
        };
        Ok(Self {
            hello: Prompt::new([clip!("hello.wav")?]),
            mailbox: Prompt::new(mailbox),
            sayings: Saying::ALL.into_iter().map(say).collect::<Result<_, VoicesError>>()?,
            own: BTreeMap::new(),
        })
    }

    /// Takes the WAV files of a folder as answers: `21.wav` is said by callees whose number ends in 21, whatever else
    /// callees with such a number would do. Files of other kinds are left alone.
    ///
    /// # Errors
    ///
    /// The first file that cannot be said; a folder without any.
    pub fn with_answers(mut self, folder: &Path) -> Result<Self, VoicesError> {
        let unreadable = |source| VoicesError::Unreadable { folder: folder.to_owned(), source };
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            let file = entry.map_err(unreadable)?.path();
            if file.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("wav")) {
                continue;
            }
            let ending = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
            if ending.is_empty() || !ending.bytes().all(|digit| digit.is_ascii_digit()) {
                return Err(VoicesError::Name { file });
            }
            let clip = Clip::load(&file)?;
            self.own.insert(ending, Prompt::new([Part::Clip(Arc::new(clip))]));
        }
        if self.own.is_empty() {
            return Err(VoicesError::Empty { folder: folder.to_owned() });
        }
        Ok(self)
    }

    /// The user's own answer for a number, of several the one with the longest ending; and that ending.
    pub(crate) fn own(&self, user: &str) -> Option<(&str, &Prompt)> {
        let fits = self.own.iter().filter(|(ending, _)| user.ends_with(ending.as_str()));
        fits.max_by_key(|(ending, _)| ending.len()).map(|(ending, prompt)| (ending.as_str(), prompt))
    }

    pub(crate) fn saying(&self, saying: Saying) -> &Prompt {
        &self.sayings[&saying]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn file(folder: &Path, name: &str) {
        fs::write(folder.join(name), include_bytes!("../assets/hello.wav")).unwrap();
    }

    #[test]
    fn every_callee_that_speaks_has_a_voice() {
        let voices = Voices::load().unwrap();
        for saying in Saying::ALL {
            let length = voices.saying(saying).duration();
            assert!(length > Duration::from_millis(300), "{saying:?}: {length:?}");
        }
    }

    #[test]
    fn an_answer_of_ones_own_is_said_by_the_numbers_that_end_as_its_file_is_called() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["21.wav", "121.WAV", "readme.txt"] {
            file(folder.path(), name);
        }
        let voices = Voices::load().unwrap().with_answers(folder.path()).unwrap();
        let ending = |user| voices.own(user).map(|(ending, _)| ending);
        assert_eq!(ending("+79000000021"), Some("21"));
        assert_eq!(ending("+79000000121"), Some("121"));
        assert_eq!(ending("+79000000001"), None);
    }

    #[test]
    fn a_folder_that_nobody_could_say_is_refused_in_a_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let refused = || {
            Voices::load()
                .unwrap()
                .with_answers(folder.path())
                .unwrap_err()
                .to_string()
                .replace(&folder.path().display().to_string(), "…")
        };
        assert_eq!(
            refused(),
            "the folder of answers … has no file as 21.wav, which callees say whose number ends in 21"
        );
        file(folder.path(), "hello.wav");
        assert_eq!(
            refused(),
            "nobody would say …/hello.wav: name it after the last digits of the numbers whose callees say it, as 21.wav"
        );
        fs::remove_file(folder.path().join("hello.wav")).unwrap();
        fs::write(folder.path().join("21.wav"), "not a sound").unwrap();
        assert!(refused().contains("…/21.wav"), "{}", refused());
    }
}
