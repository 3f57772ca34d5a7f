// Whether the list of conversations is shown: beside the page where there is room,
// over it (a drawer) where there is not.
import { load, save } from '../lib/storage';

const narrow = matchMedia('(max-width: 56rem)');

class Sidebar {
  drawer = $state(narrow.matches);
  open = $state(!narrow.matches && load('sidebar') !== 'closed');
}

export const sidebar = new Sidebar();

narrow.addEventListener('change', (event) => {
  sidebar.drawer = event.matches;
  sidebar.open = !event.matches && load('sidebar') !== 'closed';
});

export function toggleSidebar(): void {
  sidebar.open = !sidebar.open;
  if (!sidebar.drawer) save('sidebar', sidebar.open ? null : 'closed');
}

/** After something was chosen in it. */
export function closeDrawer(): void {
  if (sidebar.drawer) sidebar.open = false;
}
