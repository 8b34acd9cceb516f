"""What commands can be asked, without what does the work: --help is there at once.

The imports of analysis, training and pages take seconds.
"""

from churn_jax.system.arguments import Parser


def evaluate(about: str | None) -> Parser:
    """Of `churn_jax.evaluate`, whose docstring says what it is about."""
    parser = Parser("churn_jax.evaluate", about)
    parser.add_argument("--runs", required=True, help="workdirs, separated by commas")
    parser.add_argument("--out", required=True, help="folder for the report")
    parser.add_argument("--step", default="latest", help="latest, all, or a number")
    parser.add_argument(
        "--paired",
        action="store_true",
        help="run r of each workdir belongs to run r of the first, which it updates",
    )
    parser.add_argument(
        "--figures", action="store_true", help="every figure as SVG and PDF, in OUT/figures"
    )
    return parser


def study(about: str | None) -> Parser:
    """Of `churn_jax.study`."""
    parser = Parser("churn_jax.study", about)
    parser.add_argument("--study", required=True, help="a file of configs/studies, or its name")
    parser.add_argument("--dataset", default="digits", help="any config file beside studies/")
    parser.add_argument("--workdir", default="runs/studies", help="of all studies")
    parser.add_argument("--runs", type=int, help="independent runs a cell")
    parser.add_argument("--epochs", type=float, help="length of training")
    parser.add_argument("--grid", default="", help="values to sweep: 'alpha=0.1,0.3;beta=0.5,1'")
    parser.add_argument("--cell", help="train this cell alone, and make no tables")
    parser.add_argument("--list", action="store_true", help="list the cells, and train nothing")
    parser.add_argument(
        "--report", action="store_true", help="show what is finished, and train nothing"
    )
    parser.add_argument(
        "--figures", action="store_true", help="figures as PDF, too, beside SVG and PNG"
    )
    return parser
