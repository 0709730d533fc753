//! `shallop build` as a user runs it: what ends up in the image, what is cached, what is refused.

use std::fs;
use std::path::Path;

use shallop_test_support::{Finished, Shallop};
use tempfile::TempDir;

const SUITE: &str = "build";

/// A context folder with a command to build it with.
struct Case {
    shallop: Shallop,
    folder: TempDir,
}

impl Case {
    /// `None` where the images cannot be had.
    fn new(files: &[(&str, &str)]) -> Option<Case> {
        let shallop = Shallop::shared(env!("CARGO_BIN_EXE_shallop"));
        if !shallop.needs(SUITE, &["busybox"]) {
            return None;
        }
        let case = Case { shallop, folder: shallop_test_support::shallop::folder() };
        files.iter().for_each(|(path, text)| case.write(path, text));
        Some(case)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Builds `.` as `shallop-test/<tag>` with plain progress.
    fn build(&self, tag: &str, options: &[&str]) -> Finished {
        let tag = format!("shallop-test/{tag}");
        let arguments = [&["build", "--progress=plain", "-t", &tag], options, &["."]].concat();
        self.shallop.run_in(self.path(), &arguments)
    }

    fn build_text(&self, tag: &str, dockerfile: &str) -> Finished {
        self.write("Dockerfile", dockerfile);
        self.build(tag, &[])
    }

    /// What a command prints in the image that [`Case::build`] made.
    fn run(&self, tag: &str, command: &[&str]) -> String {
        let tag = format!("shallop-test/{tag}");
        let arguments = [&["run", "--rm", &tag], command].concat();
        self.shallop.run(&arguments).expect_code(0).stdout
    }

    fn sh(&self, tag: &str, script: &str) -> String {
        self.run(tag, &["sh", "-c", script])
    }
}

#[test]
fn a_second_build_takes_everything_from_the_cache() {
    let Some(case) = Case::new(&[("a", "1\n")]) else { return };
    let unique = std::process::id();
    let text = format!("FROM catalog.internal/busybox\nENV N={unique}\nWORKDIR /w\nCOPY a .\nRUN echo $N; cat a\n");
    let first = case.build_text("cache", &text).expect_code(0);
    for line in ["[1/4] FROM catalog.internal/busybox", "#4 [4/4] RUN echo $N; cat a\n", &format!(" {unique}\n"), "#4 DONE "] {
        assert!(first.stderr.contains(line), "{line}\n{}", first.stderr);
    }
    let second = case.build("cache", &[]).expect_code(0);
    assert_eq!(second.stderr.matches("CACHED").count(), 3, "{}", second.stderr);
    case.write("a", "2\n");
    let third = case.build("cache", &[]).expect_code(0);
    assert_eq!(third.stderr.matches("CACHED").count(), 1, "{}", third.stderr);
    assert_eq!(case.run("cache", &["cat", "a"]), "2\n");
    let fourth = case.build("cache", &["--no-cache"]).expect_code(0);
    assert_eq!(fourth.stderr.matches("CACHED").count(), 0, "{}", fourth.stderr);
}

#[test]
fn a_failing_step_ends_the_build() {
    let Some(case) = Case::new(&[]) else { return };
    let failed = case.build_text("failed", "FROM catalog.internal/busybox\nRUN echo why; exit 3\n").expect_code(1);
    for text in ["#2 ERROR: process \"/bin/sh -c echo why; exit 3\"", "exit code: 3", "Dockerfile:2:1", " why\n"] {
        assert!(failed.stderr.contains(text), "{text}\n{}", failed.stderr);
    }
    case.build_text("failed", "FROM catalog.internal/busybox\nRUN no-such-command\n").expect_error("exit code: 127");
}

#[test]
fn arguments_and_variables() {
    let Some(case) = Case::new(&[]) else { return };
    let text = "ARG BASE=nothing\nFROM catalog.internal/${BASE}\nARG BASE\nARG A=1\nARG B=${A}2\nENV a=old\n\
                ENV a=new b=$a c=\"x y\" d='$a'\nRUN echo \"$BASE $A $B|$a|$b|$c|$d|$HTTP_PROXY\" > /out\n\
                RUN [\"sh\", \"-c\", \"echo $a >> /out\"]\nFROM scratch\nFROM catalog.internal/busybox\nARG A\n\
                COPY --from=0 /out /out\nRUN echo \"[$A]\" >> /out\n";
    case.write("Dockerfile", text);
    let options = ["--build-arg", "BASE=busybox", "--build-arg", "B=given", "--build-arg", "HTTP_PROXY=p"];
    let done = case.build("arguments", &[&options[..], &["--build-arg", "UNUSED=1"]].concat()).expect_code(0);
    assert!(done.stderr.contains("UNUSED"), "{}", done.stderr);
    assert_eq!(case.run("arguments", &["cat", "/out"]), "busybox 1 given|new|old|x y|$a|p\nnew\n[]\n");
}

#[test]
fn names_of_files_and_stages() {
    let Some(case) = Case::new(&[("keep", ""), ("skip", ""), (".dockerignore", "keep\n")]) else { return };
    let text = "FROM catalog.internal/busybox AS base\nCOPY . /c\nFROM base AS build\nRUN echo build > /which\n\
                FROM build AS other\nFROM base\nRUN echo last > /which\n";
    case.write("docker/My.file", text);
    case.write("docker/My.file.dockerignore", "skip\ndocker\n");
    case.build("names", &["-f", "docker/My.file", "--target", "other"]).expect_code(0);
    assert_eq!(case.sh("names", "cat /which; ls /c"), "build\nkeep\n");
    case.build("names", &["-f", "docker/My.file", "--target", "bulid"]).expect_code(1).expect_error("did you mean build?");
    // From stdin, with the context's own .dockerignore.
    let arguments = ["build", "-t", "shallop-test/names", "-f", "-", case.path().to_str().unwrap()];
    case.shallop.run_with(&arguments, text.as_bytes()).expect_code(0);
    assert_eq!(case.sh("names", "cat /which; ls /c"), "last\ndocker\nskip\n");
}
