//! `shallop build` as a user runs it: what ends up in the image, what is cached, what is refused.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use shallop_config::Dirs;
use shallop_store::{Image, Store};
use shallop_test_support::{Finished, Shallop, oracle};
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

    /// Builds this Dockerfile anew: the home is shared, and a cached step could be an older program's.
    fn build_text(&self, tag: &str, dockerfile: &str) -> Finished {
        self.write("Dockerfile", dockerfile);
        self.build(tag, &["--no-cache"])
    }

    /// What a command prints in the image that [`Case::build`] made.
    fn run(&self, tag: &str, command: &[&str]) -> String {
        let tag = format!("shallop-test/{tag}");
        let arguments = [&["run", "--rm", &tag], command].concat();
        self.shallop.run(&arguments).expect_code(0).stdout
    }

    fn store(&self) -> Store {
        Store::open(&Dirs::below(self.shallop.home())).unwrap()
    }

    fn image(&self, tag: &str) -> Image {
        self.store().resolve(&format!("shallop-test/{tag}"), None).unwrap()
    }

    fn sh(&self, tag: &str, script: &str) -> String {
        self.run(tag, &["sh", "-c", script])
    }
}

#[test]
fn a_second_build_takes_everything_from_the_cache() {
    let unique = std::process::id();
    let Some(case) = Case::new(&[("a", &format!("1 {unique}\n"))]) else { return };
    let text = format!("FROM catalog.internal/busybox\nENV N={unique}\nWORKDIR /w\nCOPY a .\nRUN echo $N; cat a\n");
    case.write("Dockerfile", &text);
    let first = case.build("cache", &[]).expect_code(0);
    for line in
        ["[1/4] FROM catalog.internal/busybox", "#4 [4/4] RUN echo $N; cat a\n", &format!(" {unique}\n"), "#4 DONE "]
    {
        assert!(first.stderr.contains(line), "{line}\n{}", first.stderr);
    }
    let second = case.build("cache", &[]).expect_code(0);
    assert_eq!(second.stderr.matches("CACHED").count(), 3, "{}", second.stderr);
    let changed = format!("2 {unique}\n");
    case.write("a", &changed);
    let third = case.build("cache", &[]).expect_code(0);
    assert_eq!(third.stderr.matches("CACHED").count(), 1, "{}", third.stderr);
    assert_eq!(case.run("cache", &["cat", "a"]), changed);
    let fourth = case.build("cache", &["--no-cache"]).expect_code(0);
    assert_eq!(fourth.stderr.matches("CACHED").count(), 0, "{}", fourth.stderr);
}

#[test]
fn two_builds_at_once_do_a_step_once() {
    let Some(case) = Case::new(&[]) else { return };
    let text =
        format!("FROM catalog.internal/busybox\nENV N={}\nRUN echo now; sleep 1; echo $N > /n\n", std::process::id());
    case.write("Dockerfile", &text);
    let start = |tag: &str| {
        let mut command = case.shallop.command(&["build", "--progress=plain", "-t", tag, "."]);
        command.current_dir(case.path()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("start shallop");
        let shown = BufReader::new(child.stderr.take().expect("stderr is piped")).lines().map(Result::unwrap);
        (child, shown)
    };
    let (first, mut of_first) = start("shallop-test/first");
    assert!(of_first.any(|line| line.ends_with(" now")), "the step begins");
    // Stopped, it cannot end its step before the second one has come so far.
    let pid = Pid::from_child(&first);
    kill_process(pid, Signal::STOP).unwrap();
    let (second, mut of_second) = start("shallop-test/second");
    assert!(of_second.any(|line| line.contains("another build is at this step")), "the second waits");
    kill_process(pid, Signal::CONT).unwrap();
    assert!(of_first.any(|line| line.starts_with("#2 DONE")));
    assert!(of_second.any(|line| line == "#2 CACHED"));
    for (child, rest) in [(first, of_first), (second, of_second)] {
        rest.for_each(drop);
        let (status, timed_out) = shallop_test_support::command::wait(child, Duration::from_secs(60));
        assert!(status.success() && !timed_out);
    }
    assert_eq!(case.image("first").id, case.image("second").id);
}

#[test]
fn the_image_id_goes_where_it_is_asked_for() {
    let Some(case) = Case::new(&[("Dockerfile", "FROM scratch\nLABEL a=b\n")]) else { return };
    let done = case.shallop.run_in(case.path(), &["build", "-q", "--iidfile", "id", "-t", "shallop-test/id", "."]);
    let id = case.image("id").id.to_string();
    assert_eq!(done.expect_code(0).stdout, format!("{id}\n"));
    assert_eq!(fs::read_to_string(case.path().join("id")).unwrap(), id);
    let nowhere = case.shallop.run_in(case.path(), &["build", "--iidfile", "no/id", "."]);
    nowhere.expect_code(1).expect_error("writing no/id: No such file or directory");
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
    let options =
        ["--no-cache", "--build-arg", "BASE=busybox", "--build-arg", "B=given", "--build-arg", "HTTP_PROXY=p"];
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
    case.build("names", &["-f", "docker/My.file", "--target", "bulid"])
        .expect_code(1)
        .expect_error("did you mean build?");
    // From stdin, with the context's own .dockerignore.
    let arguments = ["build", "-t", "shallop-test/names", "-f", "-", case.path().to_str().unwrap()];
    case.shallop.run_with(&arguments, text.as_bytes()).expect_code(0);
    assert_eq!(case.sh("names", "cat /which; ls /c"), "last\ndocker\nskip\n");
}

#[test]
fn a_dockerfile_in_lower_case_is_found() {
    let Some(case) = Case::new(&[("dockerfile", "FROM scratch\nLABEL a=b\n")]) else { return };
    case.build("lower", &["--label", "c=d"]).expect_code(0);
    assert_eq!(inspect(&case, "lower")["Labels"].to_string(), r#"{"a":"b","c":"d"}"#);
    // What has no files can be built upon.
    let base = "FROM shallop-test/lower\nCOPY --link dockerfile /x/\n";
    case.write("dockerfile", base);
    case.build("lower", &[]).expect_code(0);
}

#[test]
fn copy_keeps_what_files_are() {
    let Some(case) = Case::new(&[("d/one", "1"), ("d/sub/two", "2"), ("x y", "space"), ("[z]", "odd")]) else { return };
    use std::os::unix::fs::{PermissionsExt, symlink};
    let set = |path: &str, mode| fs::set_permissions(case.path().join(path), fs::Permissions::from_mode(mode)).unwrap();
    set("d/one", 0o4751);
    set("d/sub", 0o1777);
    symlink("one", case.path().join("d/link")).unwrap();
    symlink("/nowhere", case.path().join("d/broken")).unwrap();
    fs::hard_link(case.path().join("d/one"), case.path().join("d/again")).unwrap();
    let sparse = fs::File::create(case.path().join("d/sparse")).unwrap();
    sparse.set_len(300 << 20).unwrap();
    let when = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    sparse.set_modified(when).unwrap();
    case.build_text(
        "files",
        "FROM catalog.internal/busybox\nWORKDIR /w/v\nCOPY d .\nCOPY d/link ../as-file\nCOPY [\"x y\", \"/w/x y\"]\n\
         COPY [[]z] no*match /w/\nCOPY --chown=7:8 --chmod=640 d/one /w/owned\nWORKDIR ..\nRUN pwd > here\n",
    )
    .expect_code(0);
    let script = "stat -c '%n %a %s %u:%g' v/one v/sub v/sparse owned; stat -c %Y v/sparse; readlink v/link; readlink v/broken; \
                  cat as-file v/again v/sub/two 'x y' '[z]'; echo; cat here";
    let expected = "v/one 4751 1 0:0\nv/sub 1777 3 0:0\nv/sparse 644 314572800 0:0\nowned 640 1 7:8\n1000000000\none\n\
                    /nowhere\n112spaceodd\n/w\n";
    let found = case.sh("files", script);
    assert_eq!(found.replace("v/sub 1777 4096", "v/sub 1777 3").replace("v/sub 1777 60", "v/sub 1777 3"), expected);
}

#[test]
fn copy_refuses_what_cannot_be() {
    let Some(case) = Case::new(&[("f", ""), ("g", ""), ("d/f", ""), ("etc", "")]) else { return };
    for (line, error) in [
        ("COPY d /etc/passwd", "/etc/passwd: it is not a directory"),
        ("COPY etc /", "cannot replace the directory /etc with a file"),
        ("COPY f g /etc/passwd", "destination must be a directory"),
        ("COPY missing /", "\"/missing\": not found"),
        ("COPY ../../etc/hostname /", "not found"),
        ("COPY --from=later f /", "needs to be defined before"),
        ("COPY --from=$X f /", "variable expansion is not supported for --from"),
        ("COPY --chmod=98 f /", "invalid chmod parameter"),
        ("COPY --chown=nobody-here f /", "invalid user"),
        ("COPY --frm=x f /", "unknown flag: --frm (did you mean from?)"),
        ("COPY f", "at least two arguments"),
        ("CMD --flag x", "unknown flag: --flag"),
        ("STOPSIGNAL SIGNOTHING", "invalid signal: SIGNOTHING"),
    ] {
        let text = format!("FROM catalog.internal/busybox\n{line}\nFROM scratch AS later\n");
        case.write("Dockerfile", &text);
        case.build("refused", &["--target", "0"]).expect_code(1).expect_error(error).expect_error("Dockerfile:2:1");
    }
}

#[test]
fn steps_see_and_change_the_files_below() {
    let Some(case) = Case::new(&[("data/a", "a"), ("data/b", "b")]) else { return };
    case.build_text(
        "changes",
        "FROM catalog.internal/busybox AS tools\nRUN echo tool > /tool\nFROM catalog.internal/busybox\nCOPY data /data\n\
         RUN rm /data/a && mkdir /data/a && echo in > /data/a/x\nRUN rm -r /data/a && echo new > /data/c\n\
         COPY --from=tools /tool /data/\nRUN mv /data/b /data/moved && chmod 600 /data/c && ln -s moved /data/l\n\
         COPY --from=catalog.internal/busybox /etc/passwd /data/passwd\n",
    )
    .expect_code(0);
    let script = "cd /data; ls; cat moved c tool l; stat -c %a c; cmp passwd /etc/passwd";
    assert_eq!(case.sh("changes", script), "c\nl\nmoved\npasswd\ntool\nbnew\ntool\nb600\n");
}

#[test]
fn users_and_folders() {
    let Some(case) = Case::new(&[]) else { return };
    case.build_text(
        "users",
        "FROM catalog.internal/busybox\nRUN echo 'app:x:1000:1001::/home/app:/bin/sh' >> /etc/passwd; \
         echo 'team:x:1001:' >> /etc/group; mkdir -m 777 /out\nUSER app\nWORKDIR /srv/deep\nRUN id > /out/id; pwd >> /out/id; \
         echo $HOME >> /out/id; touch mine\nUSER 42:43\nRUN id -u >> /out/other; id -g >> /out/other\nUSER root\n\
         COPY --chown=app:team <<EOF /out/copied\nEOF\nRUN stat -c '%U %G' /srv/deep /out/copied > /out/owners\nUSER app\n",
    )
    .expect_code(0);
    let expected =
        "uid=1000(app) gid=1001(team) groups=1001(team)\n/srv/deep\n/home/app\n42\n43\napp team\napp team\n1000\n";
    assert_eq!(case.sh("users", "cat /out/id /out/other /out/owners; id -u"), expected);
}

#[test]
fn here_documents() {
    let Some(case) = Case::new(&[]) else { return };
    case.build_text(
        "heredocs",
        "FROM catalog.internal/busybox\nENV V=v\nRUN <<EOF\necho one \"$V\" > /out\n  echo two >> /out\nEOF\n\
         RUN cat <<A - <<\"B\" >> /out\n$V\nA\n$V\nB\nRUN <<EOF\n#!/usr/bin/awk -f\nBEGIN { print \"script\" >> \"/out\" }\nEOF\n\
         COPY <<-one <<\"two\" /f/\n\t$V 'q'\n\tone\n$V\ntwo\n",
    )
    .expect_code(0);
    let found = case.sh("heredocs", "cat /out /f/one /f/two; ls -d /.shallop* 2>/dev/null || echo clean");
    assert_eq!(found, "one v\ntwo\n$V\nscript\nv 'q'\n$V\nclean\n");
}

#[test]
fn the_configuration_is_the_dockerfiles() {
    let Some(case) = Case::new(&[]) else { return };
    case.build_text("config", CONFIGURED).expect_code(0);
    let config = inspect(&case, "config");
    for (pointer, expected) in [
        ("/Cmd", r#"["sh","-c","echo $A"]"#),
        ("/Entrypoint", r#"["/bin/sh","-e","-c","echo shell form"]"#),
        ("/User", r#""7:8""#),
        ("/WorkingDir", r#""/a/c""#),
        ("/StopSignal", r#""SIGUSR1""#),
        ("/Labels", r#"{"a b":"c d","k":"v\"1","last":"given"}"#),
        ("/ExposedPorts", r#"{"53/udp":{},"80/tcp":{},"81/tcp":{}}"#),
        ("/Volumes", r#"{"/a b":{},"/v1":{}}"#),
        ("/Shell", r#"["/bin/sh","-e","-c"]"#),
        ("/Healthcheck", r#"{"Interval":90000000000,"Retries":2,"Test":["CMD-SHELL","true || exit 1"]}"#),
    ] {
        let found = config.pointer(pointer).map(ToString::to_string);
        assert_eq!(found.as_deref(), Some(expected), "{pointer} in {config:#}");
    }
    case.build_text("reset", "FROM shallop-test/config\nENTRYPOINT [\"echo\"]\n").expect_code(0);
    assert_eq!(inspect(&case, "reset").pointer("/Cmd").filter(|cmd| !cmd.is_null()), None);
}

const CONFIGURED: &str = r#"FROM catalog.internal/busybox
ENV A=value PORT=80
LABEL "a b"="c d" k="v\"1" last=first
LABEL last=given
WORKDIR /a
WORKDIR b/../c
EXPOSE $PORT-81 53/UDP
VOLUME /v1
VOLUME ["/a b"]
STOPSIGNAL SIGUSR1
HEALTHCHECK --interval=1m30s --retries=2 CMD true || exit 1
SHELL ["/bin/sh", "-e", "-c"]
ENTRYPOINT echo shell form
CMD ["sh", "-c", "echo $A"]
USER 7:8
"#;

/// The image's configuration, in Docker's form.
fn inspect(case: &Case, tag: &str) -> Value {
    let image = case.image(tag);
    serde_json::to_value(&image.config.config).unwrap()
}

#[test]
fn other_programs_read_the_image() {
    if !oracle(SUITE, &[("skopeo", "skopeo")]) {
        return;
    }
    let Some(case) = Case::new(&[("a", "a")]) else { return };
    case.build_text("layout", &format!("{CONFIGURED}COPY a /copied\nRUN true\nMAINTAINER somebody\n")).expect_code(0);
    let layout = case.path().join("layout");
    let image = case.image("layout");
    case.store().export_oci_layout(&image.id, &layout).unwrap();
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["inspect", "--config", "--override-arch", "riscv64", "--override-os", "linux"]);
    skopeo.arg(format!("oci:{}", layout.display()));
    let shown = shallop_test_support::run(&mut skopeo, b"", Duration::from_secs(60)).expect_code(0);
    let theirs: Value = serde_json::from_str(&shown.stdout).unwrap();
    let ours = serde_json::to_value(&image.config).unwrap();
    for field in ["author", "architecture", "os", "rootfs", "history", "created"] {
        assert_eq!(theirs.get(field), ours.get(field), "{field}");
    }
    // skopeo prints the OCI fields only; those must agree.
    for field in ["User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal"] {
        assert_eq!(theirs["config"].get(field), ours["config"].get(field), "{field}");
    }
}
