"""The files of a study beside its tables."""

from churn_jax.studies import output, results
from tests.test_study import make


def test_figures_as_pdf_are_there_where_they_are_asked_for(tmp_path):
    found, plans, _ = make("figure5", tmp_path)
    files = []
    for pdf in (True, True, False):
        output.write(*results.report(found, plans), "command", [], tmp_path, pdf=pdf)
        files.append({path.name: path.read_bytes() for path in tmp_path.glob("*.pdf")})
    names = {f"{figure.name}.pdf" for figure in found.figures}
    assert files[0].keys() == names
    assert files[0] == files[1]
    assert not files[2]  # nor is an earlier one left beside another report
