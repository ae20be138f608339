// Where the pretended devices stand, so that maps have something to show; every third has a place by name only.
const TOWNS = [
  ["San Jose", 37.339, -121.895],
  ["Berlin", 52.52, 13.405],
  ["Suva", -18.142, 178.442],
  ["Potsdam", 52.399, 13.066],
  ["Singapore", 1.29, 103.85],
  ["São Paulo", -23.55, -46.633],
  ["Nairobi", -1.283, 36.817],
];
const SCATTER = 0.8;

export default ({ things }) => {
  things.devices.forEach((device, index) => {
    if (index % 3 === 2) return;
    const [place, lat, lon] = TOWNS[index % TOWNS.length];
    // The first seven stand in the middle of their towns, later ones around; each tenth in the middle again.
    const away = index < 7 || index % 10 === 0 ? 0 : SCATTER * (1 + (index % 9));
    Object.assign(device, { place, location: { lat: lat + away * Math.sin(index), lon: lon + away * Math.cos(index) } });
  });
  const places = [
    { name: "San Jose", country: "US", region: "CA", lat: 37.339, lon: -121.895, population: 1_026_908 },
    { name: "San José", country: "CR", region: null, lat: 9.933, lon: -84.083, population: 335_007 },
    { name: "Berlin", country: "DE", region: null, lat: 52.524, lon: 13.411, population: 3_426_354 },
  ];
  const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
  return {
    procedures: {
      GeoSearch: ({ text }) => {
        const [lat, lon] = text.split(",").map(Number);
        if (text.includes(",") && Number.isFinite(lat + lon)) return { places: [{ name: "Berlin", country: "DE", region: null, lat, lon, population: 0 }] };
        return { places: places.filter(({ name }) => plain(name).startsWith(plain(text))) };
      },
    },
  };
};
