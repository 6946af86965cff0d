import json

from netwright.cli import main
from netwright.core.linux import Lock


def test_a_run_whose_process_was_killed_is_interrupted_not_running(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NETWRIGHT_RUNS", str(tmp_path))
    for name in ("alive", "killed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(json.dumps({"format": 1, "status": "running"}))
    lock = Lock(tmp_path / "alive" / ".lock")
    (tmp_path / "killed" / ".lock").touch()
    assert main(["ls", "runs", "--json"]) == 0
    lock.release()
    found = json.loads(capsys.readouterr().out)
    rows = found["runs"] if isinstance(found, dict) else found
    told = {row["run"].rpartition("/")[2]: row["status"] for row in rows}
    assert told == {"alive": "running", "killed": "interrupted"}
