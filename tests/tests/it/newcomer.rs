//! A newcomer's path with nothing but the binary and the README of the template: new, build, test, change something, see the
//! test fail, mend it, talk, deploy, watch. Once for each language.
//!
//! The tools of the languages are those that `./zv guests` found or installed.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

use zvonar_tests::{
    clock,
    host::{self, Host},
    http::Token,
    machine,
    process::Process,
    project::Config,
};

/// A scenario of somebody who begins.
struct Newcomer {
    language: &'static str,
    _place: tempfile::TempDir,
    folder: PathBuf,
    begun: std::time::Instant,
    /// What was done, and when it was over.
    timing: String,
    /// Where the running host is, once there is one.
    host: Vec<(&'static str, String)>,
}

/// How long a step may take on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(180);

impl Newcomer {
    /// `zvonar new`. `None`, said aloud, when the language's tools are not here: then its example is not built either.
    fn new(language: &'static str, example: &str) -> Option<Self> {
        if !machine::built(&[example]) {
            return None;
        }
        let place = tempfile::tempdir().expect("a temporary folder");
        let folder = place.path().join("hello");
        let begun = clock::now();
        let mut newcomer =
            Self { language, _place: place, folder, begun, timing: String::new(), host: Vec::new() };
        let mut new = host::zvonar(["new", "--lang", language, "hello"]);
        new.current_dir(newcomer.folder.parent().expect("a folder in a folder"));
        newcomer.expect("new", new.output().expect("zvonar runs"), true);
        Some(newcomer)
    }

    /// Runs a command as the README has it, in the scenario's folder, and gives what it printed.
    fn run(&mut self, arguments: &[&str], succeeds: bool) -> String {
        let mut command = host::zvonar(arguments);
        command.current_dir(&self.folder).envs(self.host.iter().map(|(name, value)| (name, value)));
        let output = command.output().expect("zvonar runs");
        self.expect(arguments[0], output, succeeds)
    }

    fn note(&mut self, step: &str) {
        self.timing += &format!(" {step} {:.1} s,", self.begun.elapsed().as_secs_f64());
    }

    fn expect(&mut self, step: &str, output: Output, succeeds: bool) -> String {
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(
            output.status.success(),
            succeeds,
            "{} {step}:\n{said}{}",
            self.language,
            String::from_utf8_lossy(&output.stderr)
        );
        self.note(step);
        said
    }

    /// What an editor does: other words in a file.
    fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.folder.join(file);
        let text = fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        assert!(text.contains(from), "{file} has no {from}");
        fs::write(path, text.replace(from, to)).expect("the file is written");
    }
}

/// From nothing to a scenario that was changed, tested and talked to. `branch` is the source and its line for the key 2,
/// which becomes the key 3.
fn walk(language: &'static str, example: &str, source: &str, branch: &str) {
    let Some(mut newcomer) = Newcomer::new(language, example) else { return };
    let readme = fs::read_to_string(newcomer.folder.join("README.md")).expect("the README");
    for command in ["build .", "test .", "chat .", "deploy .", "watch ."] {
        assert!(readme.contains(&format!("    zvonar {command}")), "the README has no `zvonar {command}`");
    }
    newcomer.run(&["build", "."], true);
    assert!(newcomer.run(&["test", "."], true).ends_with("4 passed, 0 failed\n"));

    newcomer.edit(source, branch, &branch.replace('2', "3"));
    newcomer.edit("scenario.toml", "нажмите два.", "нажмите три.");
    newcomer.run(&["build", "."], true);
    let failed = newcomer.run(&["test", "."], false);
    assert!(failed.contains("does-not-come") && failed.ends_with("3 passed, 1 failed\n"), "{failed}");
    newcomer.edit("conversations/does-not-come.yaml", "press: \"2\"", "press: \"3\"");
    assert!(newcomer.run(&["test", "."], true).ends_with("4 passed, 0 failed\n"));

    fs::write(newcomer.folder.join("talk.txt"), "3\n").expect("the script is written");
    let talk = newcomer.run(&["chat", ".", "--script", "talk.txt"], true);
    assert!(talk.contains("нажмите три.") && talk.contains("Не придёт"), "{talk}");

    ship(&mut newcomer);
    eprintln!("newcomer, {language}:{}", newcomer.timing.trim_end_matches(','));
}

/// Into a running host: `deploy .`, and `watch .` with a file that is saved meanwhile.
fn ship(newcomer: &mut Newcomer) {
    let place = newcomer.folder.parent().expect("a folder in a folder").to_owned();
    let token = Token::new("demo");
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    let mut config = Config::new(nowhere).with_http(&token);
    // What `test .` and `chat .` have compiled is not compiled again.
    config.modules = Some(machine::modules());
    let host = Host::serve(&config, &place.join("host")).expect("the host starts");
    newcomer.host = vec![("ZVONAR_HOST", config.url()), ("ZVONAR_TOKEN", token.secret.clone())];
    assert_eq!(newcomer.run(&["deploy", "."], true), "hello: v1 live\n");

    let mut command = host::zvonar(["watch", "."]);
    command.current_dir(&newcomer.folder).envs(newcomer.host.iter().map(|(name, value)| (name, value)));
    let mut watch = Process::spawn("zvonar watch", &mut command).expect("zvonar runs");
    // Not every compiler makes the same bytes twice: then what is there goes live once more.
    let first = watch.wait_for_line(" live", LIMIT).expect("what is there is live");
    newcomer.edit("conversations/comes.yaml", "title: ", "title: Снова. ");
    let next = if first.contains("already") { "hello: v2 live" } else { "hello: v3 live" };
    watch.wait_for_line(next, LIMIT).expect("what was saved is live");
    drop(watch);
    newcomer.note("watch");
    assert!(newcomer.run(&["versions", "hello"], true).contains("live"));
    drop(host);
}

#[test]
fn a_newcomer_with_rust_gets_from_nothing_into_a_running_host() {
    let _machine = machine::shared();
    walk("rust", "menu", "scenario.rs", "\"2\" =>");
}

#[test]
fn a_newcomer_with_c_gets_from_nothing_into_a_running_host() {
    let _machine = machine::shared();
    walk("c", "appointment-c", "scenario.c", "case '2':");
}

#[test]
fn a_newcomer_with_javascript_gets_from_nothing_into_a_running_host() {
    let _machine = machine::shared();
    walk("js", "appointment-js", "scenario.js", "case \"2\":");
}

#[test]
fn a_newcomer_with_python_gets_from_nothing_into_a_running_host() {
    let _machine = machine::shared();
    walk("python", "appointment-python", "scenario.py", "case \"2\":");
}

/// What `zvonar` says to arguments that cannot be.
fn refused(arguments: &[&str], place: &Path) -> String {
    let output = host::zvonar(arguments).current_dir(place).output().expect("zvonar runs");
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn what_cannot_be_begun_or_built_is_refused_in_a_sentence() {
    let _machine = machine::shared();
    let place = tempfile::tempdir().expect("a temporary folder");
    let place = place.path();
    fs::create_dir(place.join("there")).expect("a folder");
    for (arguments, sentence) in [
        (&["new", "--lang", "js", "there"] as &[_], "there is there already: choose another name"),
        (&["new", "--lang", "js", "a/b"], "a scenario's name has 1 to 64 latin letters"),
        (&["new", "--lang", "pithon", "x"], "a similar value exists: 'python'"),
        (&["new", "x"], "--lang <LANG>"),
    ] {
        let said = refused(arguments, place);
        assert!(said.contains(sentence), "{arguments:?}: {said}");
    }
    assert_eq!(fs::read_dir(place).expect("the folder").count(), 1, "nothing was written");

    let manifest = "name = \"x\"\nversion = \"1\"\ncomponent = \"x.wasm\"\nprompts = \"prompts\"\n";
    for (more, sentence) in [
        ("", "names no language: add `language = \"rust\"`"),
        ("language = \"go\"", "knows the languages rust, c, js and python, not `go`"),
        ("language = \"python\"\nsource = \"nowhere\"", "the scenario's source is not there (there/nowhere)"),
        ("language = \"c\"", "is no C source: there is no *.c"),
    ] {
        fs::write(place.join("there/scenario.toml"), format!("{manifest}{more}")).expect("a manifest");
        let said = refused(&["build", "there"], place);
        assert!(said.contains(sentence), "{more}: {said}");
    }
}

/// Tools are looked for beside the source, in the cache and in the PATH; without any of them one sentence says what to get.
#[test]
fn tools_that_are_not_there_are_named_with_the_command_that_gets_them() {
    let _machine = machine::shared();
    let place = tempfile::tempdir().expect("a temporary folder");
    for (language, sentence) in [
        ("rust", "rustup target add wasm32-unknown-unknown"),
        ("c", "wasi-libc"),
        ("js", "npm"),
        ("python", "pip install componentize-py=="),
    ] {
        let new = host::zvonar(["new", "--lang", language, language]).current_dir(place.path()).output();
        assert!(new.expect("zvonar runs").status.success());
        let folder = place.path().join(language);
        let output = host::zvonar(["build", "."])
            .current_dir(&folder)
            .env("PATH", place.path())
            .env("XDG_CACHE_HOME", place.path())
            .env_remove("VIRTUAL_ENV")
            .env_remove("WASI_SDK_PATH")
            .env_remove("RUSTC")
            .output()
            .expect("zvonar runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(sentence), "{language}: {said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    }
}
