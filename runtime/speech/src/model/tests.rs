use std::io::Cursor;

use super::half::narrowed;
use super::*;

/// A small model in CTranslate2's form: one layer either way, with numbers in all three kinds.
struct Made {
    bytes: Vec<u8>,
    count: u32,
    seed: u64,
}

const WIDTH: usize = 64;

impl Made {
    fn next(&mut self) -> f32 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    fn text(&mut self, text: &str) {
        self.bytes.extend((text.len() as u16 + 1).to_le_bytes());
        self.bytes.extend(text.as_bytes());
        self.bytes.push(0);
    }

    fn head(&mut self, name: &str, shape: &[usize], kind: u8, size: usize) {
        self.count += 1;
        self.text(name);
        self.bytes.push(shape.len() as u8);
        for side in shape {
            self.bytes.extend((*side as u32).to_le_bytes());
        }
        self.bytes.push(kind);
        self.bytes.extend(((shape.iter().product::<usize>() * size) as u32).to_le_bytes());
    }

    fn half(&mut self, name: &str, shape: &[usize]) {
        self.head(name, shape, 4, 2);
        for _ in 0..shape.iter().product() {
            let number = narrowed(self.next());
            self.bytes.extend(number.to_le_bytes());
        }
    }

    fn single(&mut self, name: &str, shape: &[usize], zeros: std::ops::Range<usize>) {
        self.head(name, shape, 0, 4);
        for n in 0..shape.iter().product() {
            let number = if zeros.contains(&n) { 0.0 } else { self.next() };
            self.bytes.extend(number.to_le_bytes());
        }
    }

    fn whole(&mut self, name: &str, shape: &[usize]) {
        self.head(name, shape, 1, 1);
        for _ in 0..shape.iter().product() {
            let number = (self.next() * 127.0) as i8;
            self.bytes.push(number as u8);
        }
        self.head(&format!("{name}_scale"), &shape[..1], 0, 4);
        for _ in 0..shape[0] {
            let scale = 100.0 + self.next() * 50.0;
            self.bytes.extend(scale.to_le_bytes());
        }
    }

    fn norm(&mut self, name: &str) {
        self.half(&format!("{name}/gamma"), &[WIDTH]);
        self.half(&format!("{name}/beta"), &[WIDTH]);
    }

    fn linear(&mut self, name: &str, rows: usize, columns: usize) {
        self.half(&format!("{name}/weight"), &[rows, columns]);
        self.half(&format!("{name}/bias"), &[rows]);
    }

    fn layer(&mut self, name: &str, crosses: bool) {
        let own = format!("{name}/self_attention");
        self.whole(&format!("{own}/linear_0/weight"), &[3 * WIDTH, WIDTH]);
        self.single(&format!("{own}/linear_0/bias"), &[3 * WIDTH], WIDTH..2 * WIDTH);
        self.linear(&format!("{own}/linear_1"), WIDTH, WIDTH);
        self.norm(&format!("{own}/layer_norm"));
        if crosses {
            let cross = format!("{name}/attention");
            self.linear(&format!("{cross}/linear_0"), WIDTH, WIDTH);
            self.half(&format!("{cross}/linear_1/weight"), &[2 * WIDTH, WIDTH]);
            self.single(&format!("{cross}/linear_1/bias"), &[2 * WIDTH], 0..WIDTH);
            self.linear(&format!("{cross}/linear_2"), WIDTH, WIDTH);
            self.norm(&format!("{cross}/layer_norm"));
        }
        self.linear(&format!("{name}/ffn/linear_0"), 2 * WIDTH, WIDTH);
        self.linear(&format!("{name}/ffn/linear_1"), WIDTH, 2 * WIDTH);
        self.norm(&format!("{name}/ffn/layer_norm"));
    }
}

fn made(vocabulary: usize) -> Vec<u8> {
    let mut made = Made { bytes: Vec::new(), count: 0, seed: 1 };
    made.half("encoder/conv1/weight", &[WIDTH, 80, 3]);
    made.half("encoder/conv1/bias", &[WIDTH]);
    made.half("encoder/conv2/weight", &[WIDTH, WIDTH, 3]);
    made.single("encoder/conv2/bias", &[WIDTH], 0..0);
    made.half("encoder/position_encodings/encodings", &[20, WIDTH]);
    made.layer("encoder/layer_0", false);
    made.norm("encoder/layer_norm");
    made.half("decoder/position_encodings/encodings", &[12, WIDTH]);
    made.half("decoder/embeddings/weight", &[vocabulary, WIDTH]);
    made.layer("decoder/layer_0", true);
    made.norm("decoder/layer_norm");
    let mut file = Made { bytes: Vec::new(), count: 0, seed: 0 };
    file.bytes.extend(6u32.to_le_bytes());
    file.text("WhisperSpec");
    file.bytes.extend(3u32.to_le_bytes());
    file.bytes.extend(made.count.to_le_bytes());
    file.bytes.extend(made.bytes);
    file.bytes.extend(1u32.to_le_bytes());
    file.text("decoder/projection/weight");
    file.text("decoder/embeddings/weight");
    file.bytes
}

const TOKENIZER: &str =
    r#"{"model": {"vocab": {"!": 0, "Ġда": 1, "Ð½ÐµÑĤ": 2, "<|endoftext|>": 3, "Ċ": 17}}}"#;
/// «да» in the tokenizer above would be no text of bytes; the real one writes its bytes.
fn tokenizer() -> String {
    TOKENIZER.replace("Ġда", "ĠÐ´Ð°")
}

fn converted(form: Form) -> Vec<u8> {
    let mut out = Vec::new();
    convert::convert(&made(100), tokenizer().as_bytes(), form, &mut out, &mut |_| {}).expect("a sound model");
    out
}

/// The digests are of what a converter in Python (numpy) makes of the same file.
#[test]
fn a_model_is_converted_to_the_last_bit() {
    for (form, sha256) in [
        (Form::F16, "42e096eac9b3a3442094b263ea48b32b3291256a2315128225b4d5b6a82bdc77"),
        (Form::Q8, "99623fccadff9aa642856ddfed7b8ea2057e5799265370d4f33c8d2f11c40f32"),
    ] {
        let file = converted(form);
        let head = ggml::inspect(Cursor::new(&file)).expect("a sound file");
        assert_eq!((head.vocabulary, head.width, head.layers, head.mels), (100, 64, 1, 80));
        assert_eq!(head.file_type, form.file_type());
        assert!(!head.multilingual());
        assert_eq!(hex::encode(Sha256::digest(&file)), sha256, "{form:?}");
    }
}

/// The usual model itself, where its CTranslate2 form is at hand: `ZVONAR_CT2=folder cargo test … -- --ignored`.
#[test]
#[ignore = "needs the 145 MB of whisper base in CTranslate2's form"]
fn the_usual_model_is_converted_to_the_last_bit() {
    let folder = PathBuf::from(std::env::var_os("ZVONAR_CT2").expect("ZVONAR_CT2 names its folder"));
    let home = tempfile::tempdir().expect("a folder");
    for form in [Form::F16, Form::Q8] {
        let card = Shelf::new(home.path()).import(&folder, "base", form, &mut |_| {}).expect("a sound model");
        assert_eq!(card.id.sha256, fetch::expected(form), "{form:?}");
    }
}

#[test]
fn a_model_that_is_cut_short_foreign_or_odd_is_refused_with_a_sentence() {
    let whole = made(100);
    let told = |file: &[u8]| match convert::convert(
        file,
        tokenizer().as_bytes(),
        Form::F16,
        io::sink(),
        &mut |_| {},
    ) {
        Err(convert::Fault::Model(why)) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(told(&whole[..3]), "is cut short at its begin");
    assert_eq!(told(&whole[..whole.len() / 2]), "is cut short at encoder/layer_0/ffn/linear_1/weight");
    assert_eq!(told(b"GGUF and then something else"), "is no Whisper model of CTranslate2");
    assert_eq!(told(&[&whole[..], b"more"].concat()), "has 4 bytes behind its end");
    let mut other = whole.clone();
    let at = other.windows(11).position(|part| part == b"WhisperSpec").expect("its class");
    other[at..at + 11].copy_from_slice(b"MarianSpec\0");
    assert_eq!(told(&other), "is no Whisper model of CTranslate2");
    let mut renamed = whole.clone();
    let at = renamed.windows(13).position(|part| part == b"conv2/weight\0").expect("a tensor");
    renamed[at] = b'k';
    assert_eq!(told(&renamed), "has no encoder/conv2/weight");
    let tokens = convert::convert(&whole, b"{}", Form::F16, io::sink(), &mut |_| {});
    assert!(matches!(tokens, Err(convert::Fault::Tokens(why)) if why.starts_with("cannot be read")));
    // Cut anywhere, it is refused and nothing panics.
    for end in (0..whole.len()).step_by(997) {
        told(&whole[..end]);
    }
}

#[test]
fn a_file_that_is_cut_short_or_no_model_is_refused() {
    let file = converted(Form::Q8);
    let told = |file: &[u8]| ggml::inspect(Cursor::new(file)).expect_err("not whole");
    assert_eq!(told(b"RIFF"), "is no model of whisper.cpp");
    assert_eq!(told(&[0; 100]), "is no model of whisper.cpp");
    assert_eq!(told(&file[..file.len() - 10]), "is cut short: 10 of its bytes are missing");
    for end in (0..file.len()).step_by(1009) {
        told(&file[..end]);
    }
}

fn folder_of(model: &[u8], tokenizer: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = model.split_at(model.len() / 2);
    fs::write(folder.path().join("model.bin.part1"), first).expect("written");
    fs::write(folder.path().join("model.bin.part2"), second).expect("written");
    fs::write(folder.path().join("tokenizer.json"), tokenizer).expect("written");
    folder
}

#[test]
fn what_is_imported_is_listed_verified_and_noticed_when_it_changes() {
    let home = tempfile::tempdir().expect("a folder");
    let shelf = Shelf::new(&home.path().join("models"));
    assert_eq!(shelf.list().expect("no folder is no fault"), []);
    let source = folder_of(&made(100), &tokenizer());
    let mut steps = Vec::new();
    let card = shelf
        .import(source.path(), "small", Form::Q8, &mut |progress| steps.push(progress))
        .expect("a sound model");
    assert_eq!(card.id.sha256, hex::encode(Sha256::digest(converted(Form::Q8))));
    assert_eq!(
        (steps.first(), steps.last()),
        (Some(&Progress::Step("converting to q8_0".into())), Some(&Progress::Share(1.0)))
    );
    assert_eq!(shelf.verify("small").expect("as it came"), card);
    // The file of whisper.cpp itself is taken too, as it is.
    let copy = shelf.import(&card.file, "copy", Form::F16, &mut |_| {}).expect("a sound file");
    assert_eq!((copy.id.sha256.as_str(), copy.form.as_str()), (card.id.sha256.as_str(), "as it came"));
    let names: Vec<String> = shelf.list().expect("a list").into_iter().map(|card| card.id.name).collect();
    assert_eq!(names, ["copy", "small"]);

    assert!(card.check_language("en").is_ok());
    let why = card.check_language("ru").expect_err("English alone").to_string();
    assert!(why.starts_with("the model `small` knows English alone, and `ru` is wanted"), "{why}");

    let mut bytes = fs::read(&card.file).expect("its file");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&card.file, &bytes).expect("written");
    assert!(matches!(shelf.verify("small"), Err(ModelError::Changed { .. })));
    fs::write(&card.file, &bytes[..last]).expect("written");
    let why = shelf.get("small").expect_err("cut short").to_string();
    assert!(why.contains(&format!("has {last} bytes instead of {}", last + 1)), "{why}");
    assert!(matches!(shelf.get("none"), Err(ModelError::Unknown { .. })));
    assert!(matches!(shelf.get("../small"), Err(ModelError::Name(_))));
}

#[test]
fn an_import_that_fails_leaves_nothing_behind() {
    let home = tempfile::tempdir().expect("a folder");
    let shelf = Shelf::new(home.path());
    let model = made(100);
    let source = folder_of(&model[..model.len() - 3], &tokenizer());
    let why = shelf.import(source.path(), "small", Form::Q8, &mut |_| {}).expect_err("cut short").to_string();
    assert!(why.contains("model.bin is cut short at"), "{why}");
    let empty = tempfile::tempdir().expect("a folder");
    let why = shelf.import(empty.path(), "small", Form::Q8, &mut |_| {}).expect_err("nothing").to_string();
    assert!(why.contains("holds no model.bin"), "{why}");
    assert_eq!(fs::read_dir(home.path()).expect("a folder").count(), 0);
}

#[test]
fn a_file_is_found_in_a_wheel() {
    // Made with Python's zipfile: `a/data/one.txt` stored, `a/data/two.txt` deflated.
    let archive = include_bytes!("../../tests/data/small.whl");
    assert_eq!(wheel::member(archive, "/data/one.txt").expect("stored"), b"one");
    assert_eq!(wheel::member(archive, "/data/two.txt").expect("deflated"), "two ".repeat(100).as_bytes());
    assert_eq!(wheel::member(archive, "/data/three.txt").expect_err("absent"), "has no /data/three.txt");
    for end in 0..archive.len() {
        assert!(wheel::member(&archive[..end], "/data/two.txt").is_err());
    }
}
