"""Models for the browser: ``neurenix export DIR --to web``.

site/            the page as it is served: HTML, CSS, JavaScript modules
program.py       a model as steps for the page's plain JavaScript
folder.py        the folder of an exported model
"""

from neurenix_backend_webgpu.web.errors import ExportExistsError, WebExportError
from neurenix_backend_webgpu.web.folder import export_web

__all__ = ["ExportExistsError", "WebExportError", "export_web"]
