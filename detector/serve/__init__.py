"""Labels over HTTP. Needs the extra: ``pip install 'banner-detector[serve]'``.

``server`` listens and runs the workers · ``protocol`` what uvicorn's connections lack · ``app`` routes and statuses ·
``intake`` what a request asks for · ``stream`` JSON Lines both ways · ``batcher`` pages that came together are labelled
together, off the event loop · ``admission`` how much is let in · ``metrics`` · ``openapi.json`` · ``page.html``.
"""
