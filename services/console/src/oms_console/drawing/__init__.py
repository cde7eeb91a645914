"""Pictures: geometry worked out here, drawn by templates as SVG."""
