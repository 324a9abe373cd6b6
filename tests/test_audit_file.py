"""The audit log's file: several processes, crashes, full disks, full files, and what the command line says of it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from useid_middleware.audit.chain import ChainBroken, Entry, Fault, Head, Verified, read_entry, verify
from useid_middleware.audit.file import AuditFile, NewEntry, read_lines, rotated
from useid_middleware.cli import main

KEY = b"0123456789abcdef0123456789abcdef"


def open_log(path: Path, *, key: bytes | None = None, fsync: bool = False, max_size: int = 10**9) -> AuditFile:
    return AuditFile(path, key=key, fsync=fsync, max_size=max_size)


def new_entry(name: str = "LoginCompleted", **data: str) -> NewEntry:
    return NewEntry(1_800_000_000.0, name, data or {"account_id": "a1"})


def verified(path: Path, *, key: bytes | None = None) -> Verified:
    return verify([line for _, _, line in read_lines(path)], key=key)


def entries(path: Path) -> list[Entry]:
    return [entry for _, _, line in read_lines(path) if (entry := read_entry(line)) is not None]


#: Workers as a server forks them: some open the log themselves, one has it from its parent. Single-threaded, as a
#: process that forks should be.
WORKERS = """
import os, sys
from pathlib import Path
from useid_middleware.audit.file import AuditFile, NewEntry
path, key, count, max_size = Path(sys.argv[1]), sys.argv[2].encode(), int(sys.argv[3]), int(sys.argv[4])
def new_log():
    return AuditFile(path, key=key, fsync=False, max_size=max_size)
def work(log, name):
    for number in range(count):
        log.append([NewEntry(1.8e9, "LoginCompleted", {"account_id": f"{name}-{number}"})])
inherited = new_log()
work(inherited, "parent")
children = []
for name in ("inherits", "inherits too", "a", "b"):
    child = os.fork()
    if not child:
        work(inherited if name.startswith("inherits") else new_log(), name)
        os._exit(0)
    children.append(child)
sys.exit(sum(os.waitpid(child, 0)[1] for child in children))
"""
NAMES = ("parent", "inherits", "inherits too", "a", "b")


def start_workers(log: Path, *, count: int, max_size: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", WORKERS, str(log), KEY.decode(), str(count), str(max_size)])


@pytest.mark.parametrize("max_size", [10**9, 20_000])
def test_several_processes_write_one_log(tmp_path: Path, max_size: int) -> None:
    log = tmp_path / "audit.log"
    with start_workers(log, count=150, max_size=max_size) as workers:
        assert workers.wait() == 0
    found = [entry.data["account_id"] for entry in entries(log) if entry.event == "LoginCompleted"]
    assert sorted(map(str, found)) == sorted(f"{name}-{number}" for name in NAMES for number in range(150))
    assert verified(log, key=KEY).entries == 750 + 1 + len(rotated(log))
    assert bool(rotated(log)) == (max_size < 10**9)


def test_whoever_reads_while_others_write_sees_a_whole_log(tmp_path: Path) -> None:
    log, looks = tmp_path / "audit.log", []
    with start_workers(log, count=150, max_size=15_000) as workers:
        while workers.poll() is None:
            if log.exists():
                looks.append(verified(log, key=KEY))
    assert len(looks) > 1
    assert {look.torn for look in looks} == {0}
    assert [look.head.seq for look in looks] == sorted(look.head.seq for look in looks)


#: A process writes until it is killed, five times; its own parent reads from it when it has begun.
KILLED = """
import os, signal, sys
from pathlib import Path
from useid_middleware.audit.file import AuditFile, NewEntry
for _ in range(5):
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        log = AuditFile(Path(sys.argv[1]), key=None, fsync=False, max_size=10**9)
        while True:
            log.append([NewEntry(1.8e9, "LoginCompleted", {"account_id": "a" * 100})] * 20)
            os.write(theirs, b".")
    for _ in range(3):
        os.read(ours, 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""


def test_a_process_that_is_killed_while_it_writes_leaves_a_log_that_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    subprocess.run([sys.executable, "-c", KILLED, str(log)], check=True)
    survivor = open_log(log)
    head = survivor.append([new_entry("SessionEnded")])
    survivor.close()
    found = verified(log)
    assert found.head == head
    assert found.entries >= 5 * 3 * 20 + 2


@pytest.mark.parametrize("keep", [1, 40, -1])
def test_a_torn_line_stays_and_is_told_of(tmp_path: Path, keep: int) -> None:
    log = tmp_path / "audit.log"
    writer = open_log(log)
    writer.append([new_entry()])
    writer.append([new_entry(account_id="torn")])
    writer.close()
    *whole, last = log.read_bytes().splitlines(keepends=True)
    kept = last.rstrip(b"\n")[:keep]
    log.write_bytes(b"".join(whole) + kept)
    writer.append([new_entry(account_id="after")])
    writer.close()
    assert log.read_bytes().startswith(b"".join(whole) + kept + b"\n")
    assert verified(log).torn == 1
    assert [entry.event for entry in entries(log)] == [
        *("log_started", "LoginCompleted", "log_repaired", "LoginCompleted")
    ]
    assert entries(log)[2].data["lines"] == 1
    assert entries(log)[3].data == {"account_id": "after"}


def test_a_line_that_lacks_its_line_feed_alone_is_an_entry(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    writer = open_log(log)
    writer.append([new_entry()])
    writer.close()
    log.write_bytes(log.read_bytes().rstrip(b"\n"))
    assert verified(log).entries == 2
    writer.append([new_entry()])
    writer.close()
    assert verified(log) == Verified(1, 3, 0, verified(log).head)


def test_a_crash_while_a_torn_line_was_being_noted_is_noted_too(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    writer = open_log(log)
    writer.append([new_entry()])
    writer.close()
    for more in (b'{"at":"2027', b'\n{"at":"2027-01-15T08', b"\n"):
        with log.open("ab") as file:
            file.write(more)
    writer.append([new_entry()])
    writer.close()
    assert (verified(log).torn, entries(log)[2].event, entries(log)[2].data["lines"]) == (2, "log_repaired", 2)


@pytest.mark.parametrize("first", [b'{"at":"2027', b'{"at":"2027\n', b"\x00" * 200])
def test_a_log_whose_very_first_line_was_torn_goes_on(tmp_path: Path, first: bytes) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(first)
    writer = open_log(log)
    writer.append([new_entry()])
    writer.close()
    assert verified(log).torn == 1
    assert [entry.event for entry in entries(log)] == ["log_repaired", "log_started", "LoginCompleted"]


def test_a_file_whose_end_holds_no_entry_is_not_gone_on_with(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    writer = open_log(log)
    writer.append([new_entry()])
    writer.close()
    with log.open("ab") as file:
        file.write(b"\x00" * 100_000)
    size = log.stat().st_size
    with pytest.raises(ChainBroken, match="hold no entry"):
        writer.append([new_entry()])
    writer.close()
    assert log.stat().st_size == size


@pytest.mark.parametrize("made_up", ["\ud800", "", "A" * 64, "0" * 63])
def test_nothing_is_written_behind_a_whole_line_whose_hash_is_none(tmp_path: Path, made_up: str) -> None:
    log = tmp_path / "audit.log"
    writer = open_log(log)
    writer.append([new_entry()])
    writer.close()
    *whole, last = log.read_bytes().splitlines(keepends=True)
    altered = json.dumps(json.loads(last) | {"hash": made_up}, sort_keys=True, separators=(",", ":"))
    log.write_bytes(content := b"".join(whole) + altered.encode() + b"\n")
    with pytest.raises(ChainBroken) as caught:
        writer.append([new_entry()])
    writer.close()
    assert caught.value.fault is Fault.ALTERED
    assert log.read_bytes() == content
    with pytest.raises(ChainBroken, match="altered"):
        verified(log)


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_a_file_that_is_cut_off_under_its_writers_is_not_gone_on_with(tmp_path: Path, kept: int) -> None:
    log = tmp_path / "audit.log"
    writer, other = open_log(log), open_log(log)
    for _ in range(2):
        writer.append([new_entry()])
        other.append([new_entry()])
    log_as_cut = b"".join(log.read_bytes().splitlines(keepends=True)[:kept])
    with log.open("r+b") as file:
        file.truncate(len(log_as_cut))
    for _ in range(2):
        for each in (writer, other):
            with pytest.raises(ChainBroken, match="which was there, is not any more") as caught:
                each.append([new_entry()])
            assert caught.value.fault is Fault.TRUNCATED
            with pytest.raises(ChainBroken):
                each.head(1_800_000_000.0)
    assert log.read_bytes() == log_as_cut
    # Who saw nothing of it cannot know: that is what a head that was kept is for.
    if kept:
        newcomer = open_log(log)
        assert newcomer.append([new_entry()]).seq == kept + 1
        newcomer.close()
    writer.close()
    other.close()


def test_entries_that_are_forged_in_the_place_of_others_are_not_gone_on_with(tmp_path: Path) -> None:
    log, other = tmp_path / "audit.log", tmp_path / "other.log"
    writer, forger = open_log(log), open_log(other)
    for name in ("kept", "lost", "lost"):
        writer.append([new_entry(account_id=name)])
    for name in ("kept", "forged", "forged", "forged"):
        forger.append([new_entry(account_id=name)])
    forger.close()
    with log.open("r+b") as file:
        file.truncate(0)
        file.write(other.read_bytes())
    assert verified(log).entries == 5
    with pytest.raises(ChainBroken) as caught:
        writer.append([new_entry()])
    writer.close()
    assert caught.value.fault is Fault.ALTERED


def test_a_log_is_begun_when_its_head_is_asked_for(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    writer, other = open_log(log), open_log(log)
    head = writer.head(1_800_000_000.0)
    assert (head.seq, other.head(1_800_000_001.0)) == (1, head)
    writer.close()
    other.close()
    assert [entry.event for entry in entries(log)] == ["log_started"]
    assert verified(log).head == head


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from useid_middleware.audit.file import AuditFile, NewEntry
path = Path(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = AuditFile(path, key=None, fsync=True, max_size=10**9)
log.append([NewEntry(1.8e9, "LoginCompleted", {})])
size = path.stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, resource.RLIM_INFINITY))
try:
    log.append([NewEntry(1.8e9, "LoginCompleted", {"account_id": "lost"})])
except OSError as error:
    print(type(error).__name__, path.stat().st_size - size)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.append([NewEntry(1.8e9, "LoginCompleted", {"account_id": "kept"})])
log.close()
"""


def test_an_entry_that_the_disk_takes_a_part_of_is_not_there_at_all(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    ran = subprocess.run([sys.executable, "-c", FULL_DISK, str(log)], capture_output=True, text=True, check=True)
    assert ran.stdout == "OSError 0\n"
    assert verified(log).entries == 3
    assert [entry.data.get("account_id") for entry in entries(log)[1:]] == [None, "kept"]


def test_a_full_file_is_renamed_after_its_last_entry_and_the_chain_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    writer = open_log(log, max_size=700, fsync=True)
    heads = [writer.append([new_entry(account_id=f"a{number}")]) for number in range(12)]
    writer.close()
    older = rotated(log)
    assert len(older) >= 3
    for file in older:
        last = read_entry(file.read_bytes().splitlines(keepends=True)[-1])
        assert last is not None
        assert file.name == f"audit.log.{last.seq}"
    assert [entry.event for entry in entries(log)].count("log_continued") == len(older)
    assert verified(log).head == heads[-1]
    older[0].unlink()
    assert verified(log).first == int(older[0].suffix[1:]) + 1
    older[2].unlink()
    with pytest.raises(ChainBroken, match="missing"):
        verified(log)


def test_a_crash_between_renaming_and_going_on_loses_nothing(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    writer = open_log(log)
    head = writer.append([new_entry()])
    writer.close()
    log.rename(tmp_path / f"audit.log.{head.seq}")
    assert verified(log).head == head
    again = open_log(log)
    again.append([new_entry()])
    again.close()
    assert [entry.event for entry in entries(log)] == [
        *("log_started", "LoginCompleted", "log_continued", "LoginCompleted")
    ]
    assert verified(log).entries == 4


def test_a_full_file_never_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    writer = open_log(log, max_size=10)
    writer.append([new_entry()])
    (tmp_path / "audit.log.2").write_text("kept")
    with pytest.raises(FileExistsError):
        writer.append([new_entry()])
    writer.close()
    assert (tmp_path / "audit.log.2").read_text() == "kept"


def test_a_log_that_was_moved_away_is_begun_anew_and_whoever_wrote_it_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = tmp_path / "audit.log"
    writer = open_log(log)
    head = writer.append([new_entry()])
    assert caplog.messages == []
    log.rename(tmp_path / "kept-elsewhere")
    writer.append([new_entry()])
    writer.append([new_entry()])
    writer.close()
    assert caplog.messages == [f"the audit log ends with entry 0, and ended with {head} before"]
    assert caplog.records[0].levelname == "ERROR"
    assert verified(log).entries == 3
    assert verified(tmp_path / "kept-elsewhere").entries == 2


def test_a_writer_says_that_the_newest_files_are_gone_and_goes_on_behind_what_is_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = tmp_path / "audit.log"
    writer = open_log(log, max_size=700)
    *_, head = (writer.append([new_entry()]) for _ in range(6))
    assert caplog.messages == []
    *older, newest = rotated(log)
    newest.unlink()
    log.unlink()
    writer.append([new_entry()])
    writer.close()
    assert caplog.messages == [f"the audit log ends with entry {older[-1].suffix[1:]}, and ended with {head} before"]
    assert verified(log).entries < head.seq


def test_the_log_is_for_its_owner_alone(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    writer = open_log(log)
    writer.append([new_entry()])
    writer.close()
    assert log.stat().st_mode & 0o777 == 0o600


# What the command line says


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of three files."""
    path = tmp_path / "audit.log"
    writer = open_log(path, max_size=900)
    for number in range(6):
        writer.append([new_entry(account_id=f"a{number % 2}", session_id=f"s{number}")])
    writer.append([NewEntry(1_800_000_001.5, "LoginSucceeded", {"amr": ["pop", "swk"], "account_id": None})])
    writer.close()
    assert len(rotated(path)) == 2
    return path


def run(*arguments: str | Path) -> int:
    return main(["audit", *map(str, arguments)])


def test_verify_says_that_all_is_well_and_where_the_log_is(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify", log) == 0
    assert capsys.readouterr().out == f"10 entries, as they were written\nhead {verified(log).head}\n"
    assert run("head", log) == 0
    head = capsys.readouterr().out.strip()
    assert Head.parse(head) == verified(log).head
    assert run("verify", log, "--expect-head", head) == 0
    rotated(log)[0].unlink()
    capsys.readouterr()
    assert run("verify", log) == 0
    assert capsys.readouterr().out.startswith("begins with entry ")


def test_verify_names_the_file_and_the_line_that_is_broken_first(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    older = rotated(log)[1]
    older.write_bytes(older.read_bytes().replace(b'"account_id":"a1"', b'"account_id":"a7"', 1))
    line = next(number for number, text in enumerate(older.read_bytes().splitlines(), 1) if b'"a7"' in text)
    assert run("verify", log) == 1
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert told.err.startswith(f"{older}: line {line}: altered: its hash is not that of its content")
    assert run("head", log) == 1


def test_verify_notices_with_a_kept_head_that_the_end_is_missing(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head = verified(log).head
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
    assert run("verify", log) == 0
    assert run("verify", log, "--expect-head", str(head)) == 1
    assert "truncated: the log ends with entry 9, before the expected head, entry 10" in capsys.readouterr().err


def test_verify_does_not_take_an_emptied_log_for_a_whole_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(b"")
    for command in ("verify", "head"):
        assert run(command, log) == 1
        told = capsys.readouterr()
        assert told.out == ""
        assert "truncated: there is no entry, not even the one that begins a log" in told.err


def test_a_tampered_line_is_told_of_in_one_line_and_not_by_a_traceback(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    *whole, last = log.read_bytes().splitlines(keepends=True)
    altered = json.dumps(json.loads(last) | {"hash": "\ud800"}, sort_keys=True, separators=(",", ":"))
    log.write_bytes(b"".join(whole) + altered.encode() + b"\n")
    assert run("verify", log) == 1
    assert "altered: what it has for hashes are none" in capsys.readouterr().err
    assert run("show", log) == 0


def test_show_writes_nothing_that_a_terminal_obeys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "audit.log"
    members = {
        "at": "\r\x1b[2J",
        "data": {"a\x1b]0;b\x07": "\x1b[31mred\n\u202e\ud800\x85", "list": [1, None, "\x9b"], "map": {"\x1b": 1}},
        "event": "Login\nCompleted",
        "hash": "",
        "previous": "",
        "seq": 1,
    }
    path.write_text(json.dumps(members, sort_keys=True, separators=(",", ":")) + "\n")
    assert run("show", path) == 0
    [line] = capsys.readouterr().out.splitlines()
    assert all(" " <= each <= "~" for each in line)
    assert line.startswith(
        r"\r\x1b[2J 1 Login\nCompleted a\x1b]0;b\x07=\x1b[31mred\n\u202e\ud800\x85 list=1,None,\x9b map="
    )


def test_a_keyed_log_asks_for_its_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, key = tmp_path / "audit.log", tmp_path / "key"
    key.write_bytes(KEY + b"\n")
    writer = open_log(path, key=KEY)
    writer.append([new_entry()])
    writer.close()
    assert run("verify", path) == 1
    assert capsys.readouterr().err.endswith("the log is keyed: give --key-file\n")
    assert run("verify", path, "--key-file", key) == 0


def test_show_prints_what_is_asked_for(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", log, "--account", "a1", "--session", "s3") == 0
    assert capsys.readouterr().out == "2027-01-15T08:00:00.000Z 6 LoginCompleted account_id=a1 session_id=s3\n"
    assert run("show", log, "--event", "LoginSucceeded", "--event", "log_started") == 0
    assert capsys.readouterr().out == (
        "2027-01-15T08:00:00.000Z 1 log_started format=1 keyed=0\n"
        "2027-01-15T08:00:01.500Z 10 LoginSucceeded account_id=- amr=pop,swk\n"
    )
    with log.open("ab") as file:
        file.write(b"torn")
    assert run("show", log, "--account", "nobody") == 0
    assert capsys.readouterr().err.endswith("is no entry\n")


def test_a_log_that_is_not_there_is_an_error_of_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("verify", "head", "show"):
        assert run(command, tmp_path / "nothing.log") == 1
        assert "the log cannot be read: No such file or directory" in capsys.readouterr().err


def test_a_head_that_is_none_is_wrong_usage(log: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        run("verify", log, "--expect-head", "latest")
    assert caught.value.code == 2
