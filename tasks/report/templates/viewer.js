// Meshes that turn under the pointer or the arrow keys, all of one object together. One WebGL context draws every
// mesh and copies it into the mesh's own canvas, because browsers allow few contexts. Without WebGL nothing happens
// and the still images remain.
(function () {
  "use strict";
  const STEPS = 32767, FOV_DEG = 36, DISTANCE = 2.2, PLAIN = 0xccc7bf;
  let renderer = null;

  function unpack(text) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
    const [vertices, faces] = new Uint32Array(bytes, 0, 2);
    const positions = Float32Array.from(new Int16Array(bytes, 8, 3 * vertices), (value) => value / STEPS);
    const indices = new Uint16Array(bytes, 8 + 6 * vertices, 3 * faces);
    const colours = new Uint8Array(bytes, 8 + 6 * vertices + 6 * faces, 3 * vertices);
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", new THREE.BufferAttribute(positions, 3));
    geometry.setAttribute("color", new THREE.BufferAttribute(colours, 3, true));
    geometry.setIndex(new THREE.BufferAttribute(indices, 1));
    geometry.computeVertexNormals();
    return geometry;
  }

  function sceneOf(text, light) {
    const scene = new THREE.Scene();
    const material = new THREE.MeshLambertMaterial({ vertexColors: true, side: THREE.DoubleSide });
    scene.add(new THREE.Mesh(unpack(text), material));
    scene.add(new THREE.AmbientLight(0xffffff, 0.55), light);
    return { scene, material, light };
  }

  function open(viewer) {
    try {
      renderer = renderer || new THREE.WebGLRenderer({ antialias: true, alpha: true });
    } catch (error) {
      viewer.classList.add("failed");
      return;
    }
    const camera = new THREE.PerspectiveCamera(FOV_DEG, 1, 0.1, 10);
    camera.up.set(0, 0, 1);
    const view = { azimuth: (Number(viewer.dataset.azimuth) + 30) * Math.PI / 180, elevation: 0.35, distance: DISTANCE };
    const meshes = [...viewer.querySelectorAll("canvas")].map((canvas) => (
      { canvas, ...sceneOf(canvas.dataset.mesh, new THREE.DirectionalLight(0xffffff, 0.6)) }));

    function draw() {
      const across = view.distance * Math.cos(view.elevation);
      camera.position.set(
        across * Math.cos(view.azimuth), across * Math.sin(view.azimuth), view.distance * Math.sin(view.elevation));
      camera.lookAt(0, 0, 0);
      for (const { canvas, scene, light } of meshes) {
        const side = Math.max(1, Math.round(canvas.clientWidth * Math.min(2, window.devicePixelRatio)));
        canvas.width = canvas.height = side;
        renderer.setSize(side, side, false);
        light.position.copy(camera.position).add(new THREE.Vector3(0, 0, 1.5));
        renderer.render(scene, camera);
        canvas.getContext("2d").drawImage(renderer.domElement, 0, 0);
      }
    }

    function turn(right, up) {
      view.azimuth -= right;
      view.elevation = Math.min(1.55, Math.max(-1.55, view.elevation + up));
      requestAnimationFrame(draw);
    }

    for (const { canvas } of meshes) {
      canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
      canvas.addEventListener("pointermove", (event) => {
        if (event.buttons) turn(event.movementX / 110, event.movementY / 110);
      });
      canvas.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, 0.15], ArrowDown: [0, -0.15] };
        if (event.key in step) {
          event.preventDefault();
          turn(...step[event.key]);
        }
        if (event.key === "+" || event.key === "-") {
          view.distance = Math.min(5, Math.max(1, view.distance * (event.key === "+" ? 0.9 : 1 / 0.9)));
          requestAnimationFrame(draw);
        }
      });
      canvas.addEventListener("dblclick", () => {
        view.distance = view.distance < DISTANCE ? DISTANCE : 1.3;
        requestAnimationFrame(draw);
      });
    }
    viewer.querySelector("input").addEventListener("change", (event) => {
      for (const { material } of meshes) {
        material.vertexColors = event.target.checked;
        material.color.set(event.target.checked ? 0xffffff : PLAIN);
        material.needsUpdate = true;
      }
      draw();
    });
    window.addEventListener("resize", draw);
    draw();
  }

  document.documentElement.classList.add("scripted");
  for (const viewer of document.querySelectorAll("details.viewer")) {
    viewer.addEventListener("toggle", () => open(viewer), { once: true });
  }
})();
