"""Numbers that other papers state for objects of Google Scanned Objects, most of them since MVDiffusion++.

Each has a protocol of its own: other objects, renders or given poses. The sentence of a row says what differs; only
rows that say "SyncDreamer's protocol" can be compared with the paper's Table 1.
"""

from tasks.report.published import PUBLISHED, Source, published

HI3D = Source("arXiv 2409.07452", "SyncDreamer's protocol, 16 views of 1024 pixels.")
COPIED = Source("arXiv 2409.07452", "SyncDreamer's protocol, as Hi3D's paper reports it.")
WONDER3D = Source("arXiv 2310.15008", "Six orthographic views, renders of its own.")
SV3D = Source("arXiv 2403.12008", "50 objects, 21 views of 576 pixels, renders of its own.")
CRM = Source("arXiv 2403.05034", "30 objects of its own choice, its own normalization.")
MV_ADAPTER = Source("arXiv 2412.03632", "Six orthographic views of 768 pixels, renders of its own.")
ERA3D = Source("arXiv 2412.03632", "As MV-Adapter's paper reports it, renders of its own.")
SPAR3D = Source("arXiv 2501.04689", "A mesh, rendered; objects and cameras of its own.")
ESCHERNET = Source(
    "arXiv 2402.03908", "Given true poses; 25 random views, LPIPS by AlexNet, SSIM by scikit-image; renders of its own."
)
PF_LRM = Source("arXiv 2311.12024", "No poses; renders and cameras of its own, near the given views.")
ON_PF_LRM = Source("arXiv 2412.09573", "No poses; PF-LRM's renders.")
FREESPLATTER = Source("arXiv 2412.09573", "No poses; renders of its own, near the given views.")
LVSM = Source("arXiv 2410.17242", "Given true poses; 512 pixels, renders of its own.")


PUBLISHED_SINCE = (
    published(COPIED, 1, "Zero123-XL", 1, None, None, 19.47, 0.783, 0.159),
    published(HI3D, 1, "Hi3D", 1, 0.0172, 0.6631, 24.26, 0.864, 0.119),
    published(WONDER3D, 1, "Wonder3D, its own paper", 1, 0.0199, 0.6244, 26.07, 0.924, 0.065),
    published(SV3D, 1, "SV3D", 1, 0.024, 0.614, 21.26, 0.88, 0.08),
    published(CRM, 1, "CRM", 1, 0.0094, 0.6131, 16.22, None, None),
    published(MV_ADAPTER, 1, "MV-Adapter", 1, 0.0206, 0.568, 22.13, 0.882, 0.1),
    published(ERA3D, 1, "Era3D", 1, 0.0329, 0.5118, None, None, None),
    published(SPAR3D, 1, "SPAR3D", 1, None, None, 18.6, 0.836, 0.139),
    published(ESCHERNET, 1, "EscherNet", 1, 0.0314, 0.5974, 20.24, 0.884, 0.095),
    published(ESCHERNET, 2, "EscherNet", 10, 0.0167, 0.7478, 25.90, 0.935, 0.036),
    published(PF_LRM, 2, "PF-LRM", 4, None, None, 25.04, 0.879, 0.096),
    published(ON_PF_LRM, 2, "FreeSplatter, as PF-LRM", 4, None, None, 23.54, 0.864, 0.1),
    published(FREESPLATTER, 2, "FreeSplatter", 4, None, None, 30.44, 0.945, 0.055),
    published(LVSM, 2, "LVSM", 4, None, None, 32.36, 0.962, 0.028),
)
ALL_PUBLISHED = (*PUBLISHED, *PUBLISHED_SINCE)
