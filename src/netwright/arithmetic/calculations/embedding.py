"""An embedding table."""

from __future__ import annotations

from netwright.arithmetic.calculations import CALCULATIONS, missing_settings
from netwright.arithmetic.calculations._costs import memory_fact, params_fact
from netwright.arithmetic.counts import embedding_params
from netwright.arithmetic.working import Fact, Worked, line
from netwright.core.config import config, setting
from netwright.core.languages import Phrase

EXAMPLE = "netwright calc embedding words=30000 dim=512"


@config
class EmbeddingOptions:
    words: int | None = setting(None, ge=1, le=10**9, help="rows of the table")
    embed_dim: int | None = setting(None, ge=1, le=10**6, help="width of a row")


@CALCULATIONS.register(
    "embedding", options=EmbeddingOptions, example=EXAMPLE, required=("words", "embed_dim")
)
def embedding(options: EmbeddingOptions) -> Worked:
    """Parameters of an embedding table; looking a row up multiplies nothing."""
    if options.words is None or options.embed_dim is None:
        raise missing_settings(["words", "embed_dim"], EXAMPLE)
    params = embedding_params(options.words, options.embed_dim)
    return Worked(
        facts=(
            params_fact(params),
            memory_fact(params),
            Fact(name="macs", label=Phrase("multiply-adds"), value=0, topic="macs"),
        ),
        working=(line("params", "V * D", topic="params", V=options.words, D=options.embed_dim),),
    )
