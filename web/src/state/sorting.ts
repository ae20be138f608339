// By which column a table is sorted, and which way round: as it stands in the address, and what a press on a column's head
// makes of it. Pure.

export interface Sort<Column extends string> {
  column: Column;
  down: boolean;
}

/** For a table with these columns. Of `large` ones one wants to see the largest first. */
export function sorting<Column extends string>(columns: readonly Column[], usual: Column, large: readonly Column[]) {
  return {
    /** Reads `cpu` or, downwards, `-cpu`. What is no column is the usual order. */
    parseSort(text: string): Sort<Column> {
      const down = text.startsWith("-");
      const column = columns.find((known) => known === text.slice(down ? 1 : 0));
      return column === undefined ? { column: usual, down: false } : { column, down };
    },
    /** As it stands in the address; nothing for the usual order. */
    sortText({ column, down }: Sort<Column>): string {
      return column === usual && !down ? "" : `${down ? "-" : ""}${column}`;
    },
    /** After a press on a column's head: the other way round, or the new one with what is most wanted first. */
    pressed(sort: Sort<Column>, column: Column): Sort<Column> {
      return { column, down: sort.column === column ? !sort.down : large.includes(column) };
    },
  };
}
