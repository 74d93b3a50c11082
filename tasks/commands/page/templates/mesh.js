// Draws the mesh of each element .mesh, which holds a GLB as the address of its link, as soon as it is on the page; it
// turns by dragging, wheel and arrow keys. Without WebGL a sentence stands there and the download remains.
(() => {
  const FOV_DEG = 36, NEAREST = 1, FARTHEST = 6, PX_PER_RADIAN = 110;

  function bytesOf(address) {
    return Uint8Array.from(atob(address.split(",", 2)[1]), (letter) => letter.charCodeAt(0)).buffer;
  }

  function fail(box, reason) {
    box.dataset.state = "failed";
    box.querySelector(".words").textContent = `This browser does not draw the mesh (${reason}); the download has it.`;
  }

  function open(box) {
    box.dataset.state = "opening";
    const canvas = box.querySelector("canvas");
    let renderer;
    try {
      renderer = new THREE.WebGLRenderer({ canvas, antialias: true, alpha: true, preserveDrawingBuffer: true });
    } catch (error) {
      return fail(box, "it has no WebGL");
    }
    new THREE.GLTFLoader().parse(bytesOf(box.querySelector("a").href), "", (gltf) => show(box, canvas, renderer, gltf),
      (error) => fail(box, error.message || "the file cannot be read"));
  }

  function show(box, canvas, renderer, gltf) {
    const scene = new THREE.Scene(), light = new THREE.DirectionalLight(0xffffff, 0.5);
    gltf.scene.traverse((part) => {
      if (part.isMesh) part.material = new THREE.MeshLambertMaterial({ map: part.material.map, side: THREE.DoubleSide });
    });
    renderer.outputEncoding = THREE.sRGBEncoding;
    scene.add(gltf.scene, light, new THREE.AmbientLight(0xffffff, 0.65));
    const camera = new THREE.PerspectiveCamera(FOV_DEG, 1, 0.05, 20);
    const view = { azimuth: Math.PI / 6, elevation: 0.35, distance: 2.4 };

    function draw() {
      if (!canvas.isConnected) {
        renderer.dispose();
        return;
      }
      const width = Math.max(1, canvas.clientWidth), height = Math.max(1, canvas.clientHeight);
      renderer.setPixelRatio(Math.min(2, window.devicePixelRatio));
      renderer.setSize(width, height, false);
      camera.aspect = width / height;
      camera.updateProjectionMatrix();
      const across = view.distance * Math.cos(view.elevation);
      camera.position.set(
        across * Math.cos(view.azimuth), view.distance * Math.sin(view.elevation), -across * Math.sin(view.azimuth));
      camera.lookAt(0, 0, 0);
      light.position.copy(camera.position).add(new THREE.Vector3(0, 1.5, 0));
      renderer.render(scene, camera);
      box.dataset.state = "drawn";
    }

    function turn(right, up, nearer = 1) {
      view.azimuth -= right;
      view.elevation = Math.min(1.55, Math.max(-1.55, view.elevation + up));
      view.distance = Math.min(FARTHEST, Math.max(NEAREST, view.distance * nearer));
      requestAnimationFrame(draw);
    }

    canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons) turn(event.movementX / PX_PER_RADIAN, event.movementY / PX_PER_RADIAN);
    });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      turn(0, 0, Math.exp(event.deltaY / 1000));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, 0.15], ArrowDown: [0, -0.15],
        "+": [0, 0, 0.9], "-": [0, 0, 1 / 0.9] }[event.key];
      if (!step) return;
      event.preventDefault();
      turn(...step);
    });
    new ResizeObserver(draw).observe(canvas);
    draw();
  }

  // A script inside of what Gradio puts on the page does not run, so this one looks at what comes.
  new MutationObserver(() => {
    for (const box of document.querySelectorAll(".mesh:not([data-state])")) open(box);
  }).observe(document.documentElement, { childList: true, subtree: true });
})();
