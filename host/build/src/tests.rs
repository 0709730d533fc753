//! Builds with a store and a runner in memory.

use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Result, bail};
use shallop_layer::index::{self, Index};
use shallop_layer::merge::Merged;
use shallop_oci::{Digest, ImageConfig, Platform};

use crate::*;

#[derive(Default)]
struct Fake {
    tars: RefCell<HashMap<Digest, Vec<u8>>>,
    cache: RefCell<HashMap<String, Cached>>,
    tags: RefCell<Vec<String>>,
    ran: RefCell<Vec<RunStep>>,
    shown: RefCell<Vec<String>>,
    /// What another build makes of the next step while this one waits.
    elsewhere: RefCell<Option<Cached>>,
}

impl Images for Fake {
    fn base(&self, name: &str, platform: &Platform) -> Result<ImageConfig> {
        if name != "base" {
            bail!("no such image: {name}");
        }
        let mut config = ImageConfig::new(platform);
        config.config.env = vec!["PATH=/bin".into()];
        config.config.cmd = Some(vec!["sh".into()]);
        let layer = self.put_layer(&mut |out| {
            let mut writer = shallop_layer::tar::Writer::new(out);
            use shallop_layer::tar::{Entry, Kind};
            writer.append(&Entry::new("etc", 0o755, Kind::Dir), &mut std::io::empty())?;
            let passwd = b"root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/:/bin/sh\n";
            let entry = Entry::new("etc/passwd", 0o644, Kind::File { size: passwd.len() as u64 });
            writer.append(&entry, &mut &passwd[..])?;
            writer.append(&Entry::new("link", 0o777, Kind::Symlink(b"etc".to_vec())), &mut std::io::empty())?;
            Ok(writer.finish()?)
        })?;
        config.rootfs.diff_ids.push(layer);
        Ok(config)
    }

    fn merged(&self, layers: &[Digest]) -> Result<Merged> {
        let tars = self.tars.borrow();
        let mut indexes = Vec::new();
        for layer in layers {
            indexes.push(Index::parse(index::build(&mut &tars[layer][..], &mut std::io::sink())?)?);
        }
        let mut merged = Merged::new(indexes)?;
        for (i, layer) in layers.iter().enumerate() {
            merged.attach(i as u32, Box::new(tars[layer].clone()));
        }
        Ok(merged)
    }

    fn put_layer(&self, write: &mut dyn FnMut(&mut dyn Write) -> Result<()>) -> Result<Digest> {
        let mut tar = Vec::new();
        write(&mut tar)?;
        let digest = Digest::of(&tar);
        self.tars.borrow_mut().insert(digest, tar);
        Ok(digest)
    }

    fn cached(&self, key: &str) -> Result<Option<Cached>> {
        Ok(self.cache.borrow().get(key).cloned())
    }

    fn keep(&self, key: &str, result: &Cached) -> Result<()> {
        self.cache.borrow_mut().insert(key.to_owned(), result.clone());
        Ok(())
    }

    fn turn(&self, key: &str, waits: &mut dyn FnMut()) -> Result<Box<dyn Any>> {
        if let Some(result) = self.elsewhere.borrow_mut().take() {
            waits();
            self.keep(key, &result)?;
        }
        Ok(Box::new(()))
    }

    fn put_image(&self, config: &ImageConfig, names: &[String]) -> Result<Digest> {
        self.tags.borrow_mut().extend_from_slice(names);
        Ok(Digest::of(&config.to_json()?))
    }

    fn now(&self) -> String {
        "2026-01-02T03:04:05Z".into()
    }
}

impl Steps for Fake {
    fn run(&self, step: &RunStep, output: &mut dyn FnMut(&[u8])) -> Result<RunResult> {
        output(b"ran\n");
        self.ran.borrow_mut().push(step.clone());
        let text = step.argv.join(" ");
        let layer = self.put_layer(&mut |out| {
            Ok(out.write_all(text.as_bytes().get(..0).unwrap_or_default()).and_then(|()| out.write_all(&[0; 1024]))?)
        })?;
        Ok(RunResult { exit_code: i32::from(text.contains("false")), layer: Some(layer) })
    }
}

impl Progress for Fake {
    fn begin(&self, title: &str) {
        self.shown.borrow_mut().push(title.to_owned());
    }
    fn output(&self, _: &[u8]) {}
    fn end(&self, how: End) {
        if let Some(last) = self.shown.borrow_mut().last_mut() {
            last.push_str(&format!(" {how:?}"));
        }
    }
    fn note(&self, text: &str) {
        self.shown.borrow_mut().push(text.to_owned());
    }
}

struct Case {
    fake: Fake,
    dir: tempfile::TempDir,
}

impl Case {
    fn new(files: &[(&str, &str)]) -> Case {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Case { fake: Fake::default(), dir }
    }

    fn request(&self, text: &str) -> Request {
        Request {
            dockerfile_path: PathBuf::from("Dockerfile"),
            dockerfile: text.to_owned(),
            context: self.dir.path().to_owned(),
            tags: vec!["t".into()],
            arguments: Vec::new(),
            labels: Vec::new(),
            target: None,
            platform: Platform::linux_riscv64(),
            build_platform: Platform::linux_riscv64(),
            no_cache: false,
            no_network: false,
        }
    }

    fn build(&self, text: &str) -> Result<Built> {
        self.fake.shown.borrow_mut().clear();
        build(&self.request(text), &self.fake, &self.fake, &self.fake)
    }

    fn error(&self, text: &str) -> String {
        format!("{:#}", self.build(text).unwrap_err())
    }

    /// Paths of the image's files with owner, mode and content.
    fn file(&self, built: &Built, path: &str) -> Option<(u32, u32, u32, String)> {
        let merged = self.fake.merged(&built.config.rootfs.diff_ids).unwrap();
        let node = merged.find(path.as_bytes()).unwrap()?;
        let stat = merged.stat(&node).unwrap();
        let mut text = vec![0; if stat.is_regular() { stat.size as usize } else { 0 }];
        if !text.is_empty() {
            merged.read(&node, 0, &mut text).unwrap();
        }
        Some((stat.uid, stat.gid, stat.mode & 0o7777, String::from_utf8(text).unwrap()))
    }
}

#[test]
fn a_second_build_is_all_cached_and_gives_the_same_image() {
    let case = Case::new(&[("app.py", "print(1)\n")]);
    let text = "FROM base\nARG V=1\nENV A=$V\nWORKDIR /app\nCOPY app.py .\nRUN echo $A\nLABEL a=b\nCMD [\"python\"]\n";
    let first = case.build(text).unwrap();
    let second = case.build(text).unwrap();
    assert_eq!(first.image, second.image);
    assert_eq!(case.fake.ran.borrow().len(), 1);
    let shown = case.fake.shown.borrow().clone();
    assert_eq!(
        shown,
        ["[1/4] FROM base Done", "[2/4] WORKDIR /app Cached", "[3/4] COPY app.py . Cached", "[4/4] RUN echo $A Cached"]
    );
    let history: Vec<_> = first.config.history.iter().filter_map(|h| h.created_by.as_deref()).collect();
    assert_eq!(
        history,
        [
            "ARG V=1",
            "ENV A=1",
            "WORKDIR /app",
            "COPY app.py . # buildkit",
            "RUN |1 V=1 /bin/sh -c echo $A # buildkit",
            "LABEL a=b",
            "CMD [\"python\"]"
        ]
    );
    assert_eq!(first.config.rootfs.diff_ids.len(), 4);
}

#[test]
fn a_step_that_another_build_did_meanwhile_is_not_done_again() {
    let case = Case::new(&[]);
    let layer = case.fake.put_layer(&mut |out| Ok(out.write_all(&[0; 1024])?)).unwrap();
    let other = Cached { layer: Some(layer), created: "2026-01-01T00:00:00Z".into() };
    *case.fake.elsewhere.borrow_mut() = Some(other);
    let built = case.build("FROM base\nRUN slow\n").unwrap();
    assert_eq!(*case.fake.shown.borrow(), ["[1/2] FROM base Done", "[2/2] RUN slow Cached"]);
    assert_eq!(built.config.rootfs.diff_ids.last(), Some(&layer));
    assert!(case.fake.ran.borrow().is_empty());
}

#[test]
fn a_changed_file_misses_from_there_on() {
    let case = Case::new(&[("a", "1"), ("b", "1")]);
    let text = "FROM base\nCOPY a /a\nRUN x\nCOPY b /b\nRUN y\n";
    case.build(text).unwrap();
    std::fs::write(case.dir.path().join("b"), "2").unwrap();
    case.build(text).unwrap();
    let shown = case.fake.shown.borrow().join("\n");
    assert!(
        shown.contains("RUN x Cached") && shown.contains("COPY b /b Done") && shown.contains("RUN y Done"),
        "{shown}"
    );
}

#[test]
fn stages_that_nothing_needs_are_not_built() {
    let case = Case::new(&[]);
    let text = "FROM base AS one\nRUN one\nFROM base AS two\nRUN two\nFROM base\nCOPY --from=one /etc/passwd /p\n";
    let built = case.build(text).unwrap();
    assert_eq!(case.fake.ran.borrow().len(), 1);
    assert!(case.file(&built, "p").unwrap().3.starts_with("root:"));
}

#[test]
fn copy_follows_dockers_rules() {
    let case = Case::new(&[
        ("d/x", "x"),
        ("d/sub/y", "y"),
        ("n.txt", "n"),
        ("m.txt", "m"),
        ("skip.md", ""),
        (".dockerignore", "*.md\n"),
    ]);
    let built = case.build("FROM base\nWORKDIR /w\nCOPY --chown=app --chmod=600 d sub/\nCOPY *.txt ./t/\nCOPY n.txt /link/\nCOPY . /all\n").unwrap();
    assert_eq!(case.file(&built, "w/sub/x"), Some((1000, 1001, 0o600, "x".into())));
    assert_eq!(case.file(&built, "w/sub/sub/y").unwrap().3, "y");
    assert_eq!(case.file(&built, "w/t/m.txt").unwrap().3, "m");
    // Through the image's own symlink, which stays one.
    assert_eq!(case.file(&built, "etc/n.txt").unwrap().3, "n");
    assert!(case.file(&built, "all/n.txt").is_some() && case.file(&built, "all/skip.md").is_none());
    assert!(case.error("FROM base\nCOPY missing /x").contains("Dockerfile:2:1: \"/missing\": not found"));
    assert!(case.error("FROM base\nCOPY skip.md /x").contains("not found"));
    assert!(case.error("FROM base\nCOPY n.txt m.txt /x").contains("must be a directory"));
    assert!(case.error("FROM base\nCOPY ../../etc/hostname /x").contains("not found"));
}

#[test]
fn a_symlink_does_not_lead_out_of_the_context() {
    let case = Case::new(&[]);
    std::os::unix::fs::symlink("/etc/hostname", case.dir.path().join("out")).unwrap();
    assert!(case.error("FROM base\nCOPY out /x").contains("not found"));
}

#[test]
fn errors_have_their_place() {
    let case = Case::new(&[]);
    assert!(
        case.error("FROM base\n\nRUNN x").contains("Dockerfile:3:1: unknown instruction: RUNN (did you mean RUN?)")
    );
    assert!(case.error("FROM nothing").contains("Dockerfile:1:1: no such image: nothing"));
    assert!(
        case.error("FROM base\nRUN false")
            .contains("Dockerfile:2:1: process \"/bin/sh -c false\" did not complete successfully: exit code: 1")
    );
    assert!(case.error("FROM base\nRUN --mount=type=cache,target=/x y").contains("--mount is not done yet"));
    assert!(case.error("FROM base\nCOPY a").contains("at least two arguments"));
    assert!(case.error("FROM --platform=linux/s390x base").contains("linux/s390x"));
}

#[test]
fn inline_files_expand_unless_quoted() {
    let case = Case::new(&[]);
    let built = case.build("FROM base\nENV A=1\nCOPY <<one <<\"two\" /f/\n$A \"q\"\none\n$A\ntwo\n").unwrap();
    assert_eq!(case.file(&built, "f/one").unwrap().3, "1 \"q\"\n");
    assert_eq!(case.file(&built, "f/two").unwrap().3, "$A\n");
}

#[test]
fn steps_are_numbered_as_buildkit_does() {
    let case = Case::new(&[]);
    let text = "from base as one\nrun a\nrun b\nFROM one\nRUN c\nFROM scratch\nCOPY --from=1 /etc/passwd /\n";
    case.build(text).unwrap();
    let shown = case.fake.shown.borrow().clone();
    assert_eq!(
        shown,
        [
            "[one 1/3] FROM base Done",
            "[one 2/3] RUN a Done",
            "[one 3/3] RUN b Done",
            "[stage-1 1/1] RUN c Done",
            "[stage-2 1/1] COPY --from=1 /etc/passwd / Done"
        ]
    );
}

#[test]
fn stages_are_found_by_name_number_and_order() {
    let case = Case::new(&[]);
    let error = |text: &str| case.error(text);
    assert!(error("FROM base AS a\nCOPY --from=a /etc /x").contains("circular dependency detected on stage: a"));
    assert!(
        error("FROM base\nCOPY --from=z / /x\nFROM base AS z\nCOPY --from=0 / /y")
            .contains("needs to be defined before")
    );
    assert!(error("FROM base\nCOPY --from=7 / /x").contains("invalid stage index 7"));
    assert!(error("ARG A=1").contains("dockerfile contains no stages to build"));
    assert!(error("ARG V=${V:?\"say it\"}\nFROM base").contains("say it"));
    // The last of two stages with the same name.
    let built = case.build("FROM base AS s\nENV S=1\nFROM base AS s\nENV S=2\nFROM s").unwrap();
    assert!(built.config.config.env.contains(&"S=2".to_owned()));
    // A broken stage that nothing needs.
    case.build("FROM nothing AS unused\nFROM base").unwrap();
}

#[test]
fn a_command_is_reset_by_a_later_entrypoint_of_another_build_only() {
    let case = Case::new(&[]);
    let built = |text: &str| case.build(text).unwrap().config.config;
    assert_eq!(built("FROM base\nENTRYPOINT [\"e\"]").cmd, None);
    let kept = built("FROM base\nCMD [\"c\"]\nENTRYPOINT [\"e\"]");
    assert_eq!((kept.cmd.unwrap(), kept.entrypoint.unwrap()), (vec!["c".to_owned()], vec!["e".to_owned()]));
    assert_eq!(built("FROM base AS a\nCMD [\"c\"]\nFROM a\nENTRYPOINT [\"e\"]").cmd, None);
}

#[test]
fn source_date_epoch_is_the_time_of_everything_new() {
    let case = Case::new(&[]);
    let text = "ARG SOURCE_DATE_EPOCH=1700000000\nFROM base\nENV A=1\nRUN x\n";
    let built = case.build(text).unwrap();
    assert!(built.config.history.iter().all(|h| h.created.as_deref() == Some("2023-11-14T22:13:20Z")), "{built:#?}");
    assert!(case.error("ARG SOURCE_DATE_EPOCH=soon\nFROM base").contains("invalid SOURCE_DATE_EPOCH: soon"));
}

#[test]
fn ignored_folders_come_only_with_what_an_exception_lets_in() {
    let ignore = "*\n!src/**/*.c\n!top\n";
    let case = Case::new(&[
        ("src/a/x.c", ""),
        ("src/a/x.h", ""),
        ("src/b/y.h", ""),
        (".git/o/1", ""),
        (".dockerignore", ignore),
        ("top", ""),
    ]);
    let built = case.build("FROM base\nCOPY . /all").unwrap();
    let has =
        |path: &str| case.fake.merged(&built.config.rootfs.diff_ids).unwrap().find(path.as_bytes()).unwrap().is_some();
    assert!(has("all/src/a/x.c") && has("all/top"));
    assert!(!has("all/src/a/x.h") && !has("all/src/b") && !has("all/.git"));
    std::fs::write(case.dir.path().join(".dockerignore"), "!\n").unwrap();
    assert!(case.error("FROM base\nCOPY . /all").contains("illegal exclusion pattern"));
}

#[test]
fn copied_folders_keep_their_attributes() {
    use std::os::unix::fs::PermissionsExt;
    let case = Case::new(&[("d/f", "f"), ("etc/x", "x")]);
    let mode = std::fs::Permissions::from_mode(0o711);
    std::fs::set_permissions(case.dir.path().join("d"), mode.clone()).unwrap();
    std::fs::set_permissions(case.dir.path().join("etc"), mode).unwrap();
    let text = "FROM base\nCOPY d /like\nCOPY d /plain/\nCOPY . /root\nCOPY --chown=app etc /etc\nCOPY --chmod=770 d/f /p/q/f\n\
                COPY d/f /link/../through\n";
    let built = case.build(text).unwrap();
    let mode = |path: &str| case.file(&built, path).unwrap();
    assert_eq!((mode("like").2, mode("plain").2, mode("root").2), (0o711, 0o755, 0o755));
    // One that was there stays as it was.
    assert_eq!((mode("etc").0, mode("etc").2, mode("etc/x").0), (0, 0o755, 1000));
    assert_eq!((mode("p").2, mode("p/q").2, mode("p/q/f").2), (0o770, 0o770, 0o770));
}
