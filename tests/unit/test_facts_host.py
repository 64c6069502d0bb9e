"""Words shared with Go's collectors: architectures, families, processors."""

from __future__ import annotations

import os
import subprocess

import pytest

from basket import facts
from basket.facts import hardware, host

DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n# ID=no\n\nBROKEN\n'


@pytest.mark.parametrize(
    ("machine", "go"), [("x86_64", "amd64"), ("aarch64", "arm64"), ("i686", "386"), ("armv7l", "arm"), ("vax", "vax")]
)
def test_arch_in_gos_words(machine, go):
    assert host.arch(machine) == go


@pytest.mark.parametrize(
    ("platform", "like", "family"),
    [
        ("debian", "", "debian"),
        ("ubuntu", "debian", "debian"),
        ("rocky", "rhel centos fedora", "rhel"),
        ("amzn", "fedora", "rhel"),
        ("fedora", "", "fedora"),
        ("opensuse-leap", "suse opensuse", "suse"),
        ("arch", "", "arch"),
        ("alpine", "", "alpine"),
        ("unheard-of", "nobody ubuntu debian", "debian"),
        ("island", "", "island"),
    ],
)
def test_family_in_gopsutils_words(platform, like, family):
    assert host.family(platform, like) == family


def test_os_release_quotes_and_comments():
    found = host.parse_os_release(DEBIAN + 'NAME=\'single "inside\'\nX="a \\"b\\" \\$c"\nE=""\n')
    assert found["ID"] == "debian"
    assert found["VERSION_ID"] == "12"
    assert found["NAME"] == 'single "inside'
    assert found["X"] == 'a "b" $c'
    assert found["E"] == ""
    assert "BROKEN" not in found and "# ID" not in found


def test_this_host_is_described_as_the_kernel_does():
    uname = os.uname()
    assert facts.lookup("os.kernel") == uname.release
    assert facts.lookup("os.kernel_arch") == uname.machine
    assert facts.lookup("os.name") == "linux"
    with open("/proc/uptime", encoding="ascii") as file:
        assert abs(facts.lookup("os.uptime") - float(file.read().split()[0])) < 3


def test_platform_is_the_id_of_os_release(tmp_path, monkeypatch):
    (tmp_path / "os-release").write_text("ID=pop\nID_LIKE='ubuntu debian'\n")
    monkeypatch.setattr(host, "_OS_RELEASE", (str(tmp_path / "none"), str(tmp_path / "os-release")))
    assert facts.lookup("os.platform") == "pop"
    assert facts.lookup("os.family") == "debian"
    with pytest.raises(KeyError):
        facts.lookup("os.platform_version")


def test_cpuinfo_of_a_pc_and_of_a_board_that_says_little():
    found = hardware.parse_cpuinfo(
        "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R)  Xeon(R)\ncpu MHz\t\t: 2100.5\n\nmodel name\t: other\n"
    )
    assert found == {"vendor": "GenuineIntel", "model": "Intel(R) Xeon(R)", "mhz": 2100.5}
    assert hardware.parse_cpuinfo("processor\t: 0\nBogoMIPS\t: 48.00\ncpu MHz : ?\n") == {}


def test_cpu_count_is_what_nproc_all_says():
    nproc = subprocess.run(["nproc", "--all"], stdout=subprocess.PIPE, check=True).stdout
    assert facts.lookup("cpu.count") <= int(nproc)
    assert facts.lookup("cpu.count") >= 1
