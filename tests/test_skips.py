"""A run of the tests says why some of them were skipped."""

pytest_plugins = ["pytester"]


def test_a_line_for_each_reason(pytester, request):
    pytester.makeconftest((request.config.rootpath / "tests" / "conftest.py").read_text())
    pytester.makepyfile(
        """
        import pytest

        def skip(reason):
            return pytest.mark.skip(reason=reason)

        @skip("no engine")
        def test_one(): pass

        @skip("no engine")
        def test_two(): pass

        def test_three():
            pytest.importorskip("no_such_module")
        """
    )
    lines = pytester.runpytest("-q").stdout
    lines.fnmatch_lines(["skipped 2: no engine", "skipped 1: could not import 'no_such_module'*"])
