"""The public name of transfer learning, which the distribution ``neurenix-transfer`` holds.

Core owns this folder, so that no two distributions install one file; it only passes on what
``neurenix_transfer`` lists in its ``__all__``.
"""

from neurenix.errors import require

require("neurenix_transfer", install="pip install neurenix-transfer", purpose="neurenix.transfer")

# Plain imports, after the one above has explained itself: type checkers read only these.
import neurenix_transfer
from neurenix_transfer import *

__all__: list[str] = []
__all__ += neurenix_transfer.__all__

# Last, for it needs the names above: `neurenix.transfer.utils` works without an import of its own.
from neurenix.transfer import utils as utils
